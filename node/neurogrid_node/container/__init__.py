"""The container engine: one profile for all jobs, and what the engine says of them."""
