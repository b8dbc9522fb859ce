"""Tells listeners that task events were committed; what they are, they read from the database.

    async with feed.subscribe() as changed:
        seq = await db.read(events.last_seq)
        while True:
            for event in await db.read(events.after, seq, account_id=mine):
                ...
                seq = event.seq
            await changed.wait()

A slow listener misses nothing and holds nothing up: many changes are one wake-up.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Changed:
    """One listener's wake-up; set again and again, cleared by `wait`."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something was committed."""
        self._event.set()

    async def wait(self) -> None:
        """Return when something was committed since the last return."""
        await self._event.wait()
        self._event.clear()


class Feed:
    """All listeners of one process. Whoever commits task events calls `notify` afterwards."""

    def __init__(self) -> None:
        self._listeners: set[Changed] = set()

    def notify(self) -> None:
        """Wake every listener."""
        for listener in self._listeners:
            listener.notify()

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Changed]:
        """A wake-up for as long as the block lasts."""
        changed = Changed()
        self._listeners.add(changed)
        try:
            yield changed
        finally:
            self._listeners.discard(changed)
