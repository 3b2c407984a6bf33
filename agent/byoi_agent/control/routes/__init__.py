"""What a running node can be asked: one file per subject, each adding its routes to the table."""
