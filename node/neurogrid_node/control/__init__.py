"""How the owner's commands reach the running daemon: a Unix socket in its data folder."""
