"""How a client waits and reads files where it has a thread to itself; aio/runtime.py is for event loops."""

from collections.abc import Callable
from threading import Lock
from time import sleep
from typing import TypeVar, TypeVarTuple

from .files import pieces

__all__ = ["Lock", "blocking", "pieces", "sleep"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def blocking(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """What work of this machine comes to that takes as long as its disk."""
    return work(*arguments)
