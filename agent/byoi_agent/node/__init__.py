"""What is true of this node now, in one frozen view: rooms report, control and link read."""
