"""Which models can be asked for, and by which names."""
