"""Numbers for whoever watches the market: docs/telemetry.md lists them."""
