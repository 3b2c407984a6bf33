"""Where a request can go: the nodes that are live, and the order in which to try them."""
