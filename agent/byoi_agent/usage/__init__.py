"""What was used: counted as it passes, durable before a stream ends, sent until acknowledged."""
