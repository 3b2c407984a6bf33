"""HTTP/1.1 as a client, and server-sent events, sans-IO; for whoever speaks to a model server."""
