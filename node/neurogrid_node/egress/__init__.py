"""What jobs reach of the internet: a proxy for each job that asks for it, and nothing beside it."""
