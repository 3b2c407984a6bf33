"""The device flow's rules (RFC 8628): what a poll is told, when a code ends and who guessed."""
