"""What the command's exit code says. Part of the interface: scripts depend on it."""

from typing import Final

FAILED: Final = 1
USAGE: Final = 2
AUTHORITY: Final = 3
NOT_FOUND: Final = 4
FUNDS: Final = 5
DIFFERENT: Final = 6
UNREACHABLE: Final = 7
CLUSTER: Final = 8

EPILOG: Final = """\b
Exit codes:
  0  done; for verify: the same
  1  the chain refused it, or a file is not what it should be
  2  wrong usage, or not confirmed
  3  the key given may not do this
  4  no such program, buffer or account
  5  the payer's SOL does not cover it
  6  verify: the chain runs something else
  7  the endpoint can't be reached, or it is not decided yet: run the command again
  8  the endpoint belongs to another cluster
"""
