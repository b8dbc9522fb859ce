# Made from aio/patience.py by scripts/unasync.py: change that one, and run it.
"""Looking again and again until something has ended."""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from .errors import WaitTimeout
from .runtime import sleep

# The first look comes quickly, for short jobs; later ones are cheap enough for thousands of waiters.
_POLL_FIRST_S = 0.1
_POLL_MAX_S = 2.0


class Ending(Protocol):
    """Something that ends: a task, a workflow."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def status(self) -> str:
        """Where it is."""

    @property
    def ended(self) -> bool:
        """Whether it has ended."""


E = TypeVar("E", bound=Ending)


def until_ended(look: Callable[[], E], timeout_s: float | None) -> E:
    """What ``look`` shows once that has ended.

    Raises:
        WaitTimeout: it has not after ``timeout_s``; None waits for ever.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    pause_s = _POLL_FIRST_S
    while True:
        found = look()
        if found.ended:
            return found
        if deadline is not None and time.monotonic() + pause_s > deadline:
            raise WaitTimeout(f"{found.id} is {found.status} after {timeout_s:g} s")
        sleep(pause_s)
        pause_s = min(pause_s * 1.3, _POLL_MAX_S)
