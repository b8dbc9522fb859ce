"""Asking the running daemon, and how a command ends when that fails."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..control.asking import NoAnswer, NotRunning
from ..control.requests import Refused, RequestInvalid
from .exits import NOT_RUNNING, NOT_YET, fail


@contextmanager
def told() -> Iterator[None]:
    """Say why the daemon has not done it: exit code 3 if none runs, 4 if it has not yet, else 2."""
    try:
        yield
    except NotRunning as error:
        _end(error, NOT_RUNNING)
    except NoAnswer as error:
        _end(error, NOT_YET)
    except (Refused, RequestInvalid, OSError) as error:
        fail(str(error))


def _end(error: Exception, code: int) -> None:
    click.echo(f"neurogrid-node: {error}", err=True)
    sys.exit(code)
