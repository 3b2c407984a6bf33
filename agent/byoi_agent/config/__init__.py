"""What the owner chose, and where things lie on this machine; every room may read it."""
