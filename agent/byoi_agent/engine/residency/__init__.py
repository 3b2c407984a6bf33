"""Decides which of a node's models are loaded where they do not all fit; asked by the pool."""
