"""Money's room: who used what, one row per attempt at a request, however often it is told."""
