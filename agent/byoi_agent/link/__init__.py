"""The node's one outbound websocket: dial, prove, stay, come back; the daemon builds it."""
