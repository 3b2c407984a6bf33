"""How much a key may ask for: rates and concurrency, decided here, enforced before routing."""
