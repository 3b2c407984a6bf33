"""What tells of the owner's presence, one source and system a file."""
