"""Who this node is: its key, where that lies, and the console it belongs to; for daemon and CLI."""
