"""What the console tells its operator: structured log lines, never prompts, answers or keys."""
