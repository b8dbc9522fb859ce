"""What the daemons tell their operators about themselves: their logs. docs/telemetry.md is the reader's side.

Knows nothing of markets: what happened is named by whoever saw it.
"""
