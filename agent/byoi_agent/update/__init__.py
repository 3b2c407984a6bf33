"""Replaces this program by a newer one that is signed, and takes the old one back if that fails."""
