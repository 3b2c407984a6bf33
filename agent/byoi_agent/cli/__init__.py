"""The command `byoi`: one file per command, loaded only when typed; `main` tells the exit codes."""
