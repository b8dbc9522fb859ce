"""The whole market on one machine, as the processes it is in production."""
