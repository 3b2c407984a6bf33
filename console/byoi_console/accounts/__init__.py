"""Who may do what: people, organisations, API keys, and the log of every change."""
