"""Many tasks at once, and tasks at given times."""
