"""What crosses the websocket between a node and its console; both import it, it imports neither."""
