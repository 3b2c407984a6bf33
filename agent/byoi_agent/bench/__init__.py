"""Measures what an engine gives here, alone and under load, for its owner and for routing."""
