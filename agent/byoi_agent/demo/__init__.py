"""The whole system on one machine for `byoi demo`: console and nodes as programs, one answer."""
