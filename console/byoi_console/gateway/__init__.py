"""Everything that listens: `/v1/*` from clients to nodes; the app builds it and runs its front."""
