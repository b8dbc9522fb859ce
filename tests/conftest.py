"""Hypothesis for machines that are busy with other things: what a property says does not depend on
how long an example takes, so neither its deadline nor its health check of speed may fail a test."""

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
