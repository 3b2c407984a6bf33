"""What fits where and what it would take: arithmetic over models and machines, all of it pure."""
