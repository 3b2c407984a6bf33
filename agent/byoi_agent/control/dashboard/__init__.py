"""The owner's pages on the control API's loopback port, rendered here for a browser."""
