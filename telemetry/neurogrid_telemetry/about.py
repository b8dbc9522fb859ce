"""What a line of the log is about, for all that is called from here on: task, lease, peer.

Trio and asyncio hand the context of a task to those that it starts, so whoever runs a lease says once which.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


@contextmanager
def about(*, task: str = "", lease: str = "", peer: str = "") -> Iterator[None]:
    """Name what the lines within are about.

    What was named before does not count within: one task's end may begin another.
    """
    given = {"task": task, "lease": lease, "peer": peer}
    token = _about.set({key: value for key, value in given.items() if value})
    try:
        yield
    finally:
        _about.reset(token)


def subject() -> Mapping[str, str]:
    """What a line written here is about: ``task``, ``lease`` and ``peer``, as far as they are known."""
    return _about.get()
