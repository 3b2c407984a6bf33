"""Requests from the link to the engine and back, each with its record; built by the daemon."""
