"""The routes, by who looks for them; each group makes the services that only its routes call."""
