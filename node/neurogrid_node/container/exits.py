"""Which containers have ended, from the engine's one event stream. No I/O.

One stream serves every container of the node: waiting costs no thread, and the engine's word
arrives about a millisecond after the fact.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import trio

from neurogrid_node.container.outcome import Exit

# Containers remembered after they ended without anybody waiting; each is some 200 bytes.
_REMEMBERED_MAX: Final = 4096

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Waiter:
    """One wait for one container.

    Attributes:
        changed: set when there is reason to look again: it ended, or the engine came or went.
        interrupted: the engine was away at some time since the wait began.
    """

    changed: trio.Event = field(default_factory=trio.Event)
    interrupted: bool = False


class ExitBoard:
    """What the events said of each container, and who is waiting. For the trio thread only."""

    def __init__(self) -> None:
        self._waiters: dict[str, set[Waiter]] = {}
        self._started_at_ns: OrderedDict[str, int] = OrderedDict()
        self._clean_exits: OrderedDict[str, Exit] = OrderedDict()
        self._expected: OrderedDict[str, None] = OrderedDict()
        self._killed: OrderedDict[str, None] = OrderedDict()
        self._connected = trio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether the engine's events are being followed."""
        return self._connected.is_set()

    async def until_connected(self) -> None:
        await self._connected.wait()

    def connected(self) -> None:
        """The stream is open. What happened while it was not is for each waiter to look up."""
        self._connected.set()
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.changed.set()

    def disconnected(self) -> None:
        """The stream has ended, or could not be opened again."""
        if not self.is_connected:
            return  # whoever waits for the connection waits for this very event
        self._connected = trio.Event()
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.interrupted = True
                waiter.changed.set()

    @contextmanager
    def waiting(self, container_id: str) -> Iterator[Waiter]:
        """Registered before the caller looks, so that no end falls between look and wait."""
        waiter = Waiter(interrupted=not self.is_connected)
        self._waiters.setdefault(container_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._waiters[container_id].discard(waiter)
            if not self._waiters[container_id]:
                del self._waiters[container_id]

    def clean_exit(self, container_id: str) -> Exit | None:
        """The end of a container that ended with 0, if it was seen from start to end.

        For any other code the engine must be asked, because only it knows of an out-of-memory
        kill; and its answer waits for its own clean-up (50 ms measured), which a clean end spares.
        """
        return self._clean_exits.get(container_id)

    def expect_kill(self, container_id: str) -> None:
        """We are about to signal it ourselves."""
        _remember(self._expected, container_id, None)

    def was_killed(self, container_id: str) -> bool:
        """Whether somebody else had the engine signal it: its own shutdown, or an operator.

        No job can make the engine say so of itself.
        """
        return container_id in self._killed

    def record(self, event: Mapping[str, Any]) -> None:
        """Take one event of the engine (API 1.41 form); repeated ones change nothing."""
        container_id = str(event.get("id", ""))
        at_ns = int(event.get("timeNano", 0))
        attributes = event.get("Actor", {}).get("Attributes", {})
        # Callers may know a container by either.
        name = str(attributes.get("name", ""))
        if event.get("Action") == "start":
            _remember(self._started_at_ns, container_id, at_ns)
        elif event.get("Action") == "kill":
            if self._expected.keys().isdisjoint((container_id, name)):
                _remember(self._killed, container_id, None)
        elif event.get("Action") == "die":
            started_at_ns = self._started_at_ns.pop(container_id, None)
            if attributes.get("exitCode") == "0" and started_at_ns is not None:
                ended = Exit(container_id, 0, False, started_at_ns, at_ns)
                _remember(self._clean_exits, container_id, ended)
        if event.get("Action") in ("die", "destroy"):
            for key in (container_id, name):
                for waiter in self._waiters.get(key, ()):
                    waiter.changed.set()

    def forget(self, container_id: str) -> None:
        """The container was removed."""
        for memory in (self._started_at_ns, self._clean_exits, self._expected, self._killed):
            memory.pop(container_id, None)


def _remember(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    while len(memory) > _REMEMBERED_MAX:
        memory.popitem(last=False)
