"""The HTTP server: connections, their bounds, and messages that are whole."""
