"""Development tools: the pinned host, a server for tests and the demo. Not packaged."""
