"""What is wrong on this machine for a node, each thing with its mend."""
