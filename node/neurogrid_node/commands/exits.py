"""How a command of neurogrid-node ends that could not do what it was asked."""

import sys
from typing import Final, NoReturn

import click

UNUSABLE: Final = 2
NOT_RUNNING: Final = 3
# What was asked for is under way, and not done in the time that was given.
NOT_YET: Final = 4


def fail(message: str) -> NoReturn:
    """Say on standard error why, and exit with UNUSABLE."""
    click.echo(f"neurogrid-node: {message}", err=True)
    sys.exit(UNUSABLE)
