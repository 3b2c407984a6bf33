"""How the node tells its owner what it does and what is wrong; any room may call it."""
