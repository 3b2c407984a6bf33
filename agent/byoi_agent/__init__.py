"""The node: a long-running agent that serves its owner's machine to one console."""
