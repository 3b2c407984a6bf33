"""The agents' door: who a node is, how it is admitted, and its session."""
