"""The node put together: every room built once, joined with the others, and ended in order."""
