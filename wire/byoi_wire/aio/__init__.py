"""Sessions and connections over any channel: this package's only event loop, used by both ends."""
