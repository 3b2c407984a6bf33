"""Has the system start the node: units, launchd's files and the account; for cli and installers."""
