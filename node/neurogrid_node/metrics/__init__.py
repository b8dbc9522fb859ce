"""Numbers for whoever watches the machine: docs/telemetry.md lists them."""
