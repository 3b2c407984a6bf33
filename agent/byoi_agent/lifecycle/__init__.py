"""How a running node is changed and ended: signals, reload, the service manager; for the daemon."""
