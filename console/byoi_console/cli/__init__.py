"""The command `byoi-console`: one file per command; exit codes are told in `main`."""
