"""The owner's way into a running node: served on this machine only, asked by CLI and demo."""
