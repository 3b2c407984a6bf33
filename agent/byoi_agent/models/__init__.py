"""The models this node may serve, pulled, looked through and kept; engines ask for them by name."""
