"""Leases for use: what is asked of replicas that run here, counted as it passes."""
