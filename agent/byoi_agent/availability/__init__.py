"""Whether the node serves now, by its owner's wishes: what is looked at, and what follows of it."""
