"""The models this node may serve and their files on disk; engines ask for them by id."""
