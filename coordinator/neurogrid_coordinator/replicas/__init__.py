"""Replicas: warm servers of models, kept as standing tasks, and requests to them."""
