"""What serves: starts, watches and speaks to one engine; the daemon runs it, serving asks it."""
