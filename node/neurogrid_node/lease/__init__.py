"""One lease, from accept to forgotten."""
