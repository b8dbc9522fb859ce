"""Reads what was committed once, for everybody who listens to an account's events.

A listener that reads for itself costs a query an event, and a thousand of them a thousand. Here one task
reads what is new and puts it on each listener's line; who is behind, or has only come, reads the database
until there is nothing newer left. Who has heard everything may be told at once, without even being woken.

Nothing is missed between the two: a line is there before its owner reads the database, and what the tail
has passed by then is in it. Some of it comes twice; sequences tell.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from ..store import events
from ..store.database import Database
from ..store.feed import Changed, Feed

# Events that wait on a line; who leaves more lying reads them from the database.
LINE_EVENTS = 256
# Events that are told at once together.
TOLD_EVENTS_MAX = 64
# Listeners that are told before others of the process have a turn.
_TOLD_AT_ONCE = 250


class Sequenced(Protocol):
    """What has a place in the order of commits."""

    @property
    def seq(self) -> int: ...


T = TypeVar("T", bound=Sequenced)


class _Line(Generic[T]):
    """What has happened in one account since its owner last looked.

    Attributes:
        seq: up to which its owner has heard everything.
    """

    def __init__(self, seq: int, tell: Callable[[Sequence[T]], bool] | None) -> None:
        self.seq = seq
        self._tell = tell
        self._waiting: list[T] = []
        self._behind = False
        self._idle = False
        self._changed = Changed()

    def put(self, happenings: Sequence[T]) -> None:
        """This has happened; all lines of the account are given the same sequence."""
        if self._behind:
            return
        if self._tells(happenings):
            self.seq = happenings[-1].seq
        elif len(self._waiting) + len(happenings) > LINE_EVENTS:
            self.fall_behind()
        else:
            self._waiting.extend(happenings)
            self._changed.notify()

    def fall_behind(self) -> None:
        """What happened is in the database alone."""
        self._waiting.clear()
        self._behind = True
        self._changed.notify()

    async def take(self) -> list[T] | None:
        """What is new, once there is something. None: read the database."""
        self._idle = True
        await self._changed.wait()
        self._idle = False
        if self._behind:
            self._behind = False
            return None
        taken, self._waiting = self._waiting, []
        return taken

    def _tells(self, happenings: Sequence[T]) -> bool:
        """Whether its owner, who has dealt with everything before, has heard this at once."""
        ready = self._idle and not self._waiting and happenings[0].seq > self.seq
        return ready and self._tell is not None and self._tell(happenings)


class EventTail(Generic[T]):
    """All listeners of one process.

    Args:
        read_new: some events after a sequence, of all accounts, of which only those named are
            wanted: (account id, event) each, oldest first; and the sequence up to which it has
            looked, which stays where it was if there is no more.
        read_own: the same of one account, for a listener that is behind.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        read_new: Callable[[Connection, int, frozenset[str]], tuple[list[tuple[str, T]], int]],
        read_own: Callable[[Connection, int, str], tuple[list[T], int]],
    ) -> None:
        self._database = database
        self._feed = feed
        self._read_new = read_new
        self._read_own = read_own
        self._lines: dict[str, set[_Line[T]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def follow(
        self,
        account_id: str,
        after_seq: int,
        tell: Callable[[Sequence[T]], bool] | None = None,
    ) -> AsyncGenerator[T]:
        """An account's events after a sequence, as they come; never ends.

        Args:
            tell: given what is new at once, `TOLD_EVENTS_MAX` at most, while everything before has been taken;
                where it returns False, that is yielded instead. All listeners of an account are given the same
                sequence.
        """
        with self._listen(account_id, after_seq, tell) as line:
            while True:
                taken = await line.take()
                if taken is not None:
                    for happening in taken:
                        if happening.seq > line.seq:
                            line.seq = happening.seq
                            yield happening
                    continue
                looked_to = -1
                while looked_to != line.seq:
                    looked_to = line.seq
                    own, seq = await self._database.read(self._read_own, line.seq, account_id)
                    for happening in own:
                        yield happening
                    line.seq = seq

    @contextmanager
    def _listen(
        self, account_id: str, after_seq: int, tell: Callable[[Sequence[T]], bool] | None
    ) -> Iterator[_Line[T]]:
        line = _Line(after_seq, tell)
        self._lines.setdefault(account_id, set()).add(line)
        line.fall_behind()
        if self._reading is None:
            self._reading = asyncio.create_task(self._run(), name="event tail")
        try:
            yield line
        finally:
            lines = self._lines[account_id]
            lines.discard(line)
            if not lines:
                del self._lines[account_id]
            if not self._lines:
                self._reading.cancel()
                self._reading = None

    async def _run(self) -> None:
        async with self._feed.subscribe() as changed:
            while True:
                try:
                    await self._read_on(changed)
                except Exception:  # noqa: BLE001 - each listener meets the cause in its own read
                    self._all_behind()
                    await changed.wait()

    async def _read_on(self, changed: Changed) -> None:
        seq = await self._database.read(events.last_seq)
        # What was committed until now is on nobody's line.
        self._all_behind()
        while True:
            wanted = frozenset(self._lines)
            found, looked_to = await self._database.read(self._read_new, seq, wanted)
            for account_id, happenings in _by_account(found):
                await self._put(account_id, happenings)
            if looked_to == seq:
                await changed.wait()
            seq = looked_to

    async def _put(self, account_id: str, happenings: Sequence[T]) -> None:
        for number, line in enumerate(list(self._lines.get(account_id, ())), 1):
            line.put(happenings)
            if number % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _all_behind(self) -> None:
        for lines in self._lines.values():
            for line in lines:
                line.fall_behind()


def _by_account(found: Sequence[tuple[str, T]]) -> Iterator[tuple[str, Sequence[T]]]:
    """Each account's events together, in their order."""
    of: dict[str, list[T]] = {}
    for account_id, happening in found:
        of.setdefault(account_id, []).append(happening)
    for account_id, happenings in of.items():
        for start in range(0, len(happenings), TOLD_EVENTS_MAX):
            yield account_id, tuple(happenings[start : start + TOLD_EVENTS_MAX])
