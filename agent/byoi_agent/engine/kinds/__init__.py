"""One file per kind of engine: how it starts, when it is ready, how it fails; for its keeper."""
