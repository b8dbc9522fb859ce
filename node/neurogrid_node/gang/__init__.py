"""Jobs that run together with jobs on other nodes."""
