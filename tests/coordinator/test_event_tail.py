"""Many listeners, one reader: nobody misses or doubles an event, however they come, read and fall behind."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest
from sqlalchemy import Connection

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services import event_tail
from neurogrid_coordinator.services.event_tail import EventTail
from neurogrid_coordinator.store import events
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.events import TaskEvent
from neurogrid_coordinator.store.feed import Feed

ACCOUNTS = ("ada", "bob")
_PAGE = 7


class Reads:
    """The tail's two reads, in small pages, counted."""

    def __init__(self) -> None:
        self.new = 0
        self.own = 0
        self.broken = False

    def read_new(
        self, conn: Connection, seq: int, wanted: frozenset[str]
    ) -> tuple[list[tuple[str, TaskEvent]], int]:
        self.new += 1
        if self.broken:
            self.broken = False
            raise OSError("the disk is gone for a moment")
        page = events.after(conn, seq, limit=_PAGE)
        found = [(event.account_id, event) for event in page if event.account_id in wanted]
        return found, page[-1].seq if page else seq

    def read_own(self, conn: Connection, seq: int, account_id: str) -> tuple[list[TaskEvent], int]:
        self.own += 1
        page = events.after(conn, seq, account_id=account_id, limit=_PAGE)
        return page, page[-1].seq if page else seq


class Told:
    """A database, its feed and a tail."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.feed = Feed()
        self.reads = Reads()
        self.tail: EventTail[TaskEvent] = EventTail(
            database, self.feed, self.reads.read_new, self.reads.read_own
        )

    async def happens(self, account_id: str, times: int = 1) -> None:
        def append(conn: Connection) -> None:
            for _ in range(times):
                events.append(conn, "task", account_id, 1, "task.progress", {})

        await self.database.write(append)
        self.feed.notify()


async def listen(
    told: Told,
    account_id: str,
    after: int,
    until: int,
    pause: int,
    heard_one: Callable[[], None] = lambda: None,
) -> list[int]:
    """What one listener hears until it has heard ``until``; it rests after each event."""
    heard: list[int] = []
    async with aclosing(told.tail.follow(account_id, after)) as following:
        async for event in following:
            heard.append(event.seq)
            heard_one()
            if event.seq == until:
                return heard
            for _ in range(pause):
                await asyncio.sleep(0)
    raise AssertionError("it never ends")


async def listen_at_once(
    told: Told, account_id: str, after: int, until: int, takes: Callable[[], bool]
) -> list[int]:
    """The same for one who is told at once whenever he ``takes`` it."""
    heard: list[int] = []
    done = asyncio.Event()

    def hear(happenings: Sequence[TaskEvent]) -> None:
        heard.extend(event.seq for event in happenings)
        if heard[-1] >= until:
            done.set()

    def tell(happenings: Sequence[TaskEvent]) -> bool:
        taken = takes()
        if taken:
            hear(happenings)
        return taken

    async def follow() -> None:
        async for event in told.tail.follow(account_id, after, tell):
            hear([event])
            await asyncio.sleep(0)

    following = asyncio.create_task(follow())
    await done.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    return heard


@pytest.mark.parametrize("seed", range(6))
def test_everybody_hears_everything_once_and_in_order(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_tail, "LINE_EVENTS", 4)
    chance = random.Random(seed)
    bursts = [(chance.choice(ACCOUNTS), chance.choice((1, 1, 2, 9, 30))) for _ in range(40)]
    bursts += [(account_id, 1) for account_id in ACCOUNTS]
    # Whose each event is; its sequence is its place, from 1 on.
    owners = [account_id for account_id, times in bursts for _ in range(times)]
    mine = {
        account_id: [seq for seq, owner in enumerate(owners, 1) if owner == account_id]
        for account_id in ACCOUNTS
    }

    @on_asyncio
    async def play() -> None:
        async with Database.open(tmp_path / "coordinator.db") as database:
            told = Told(database)
            hearing: list[tuple[str, int, asyncio.Task[list[int]]]] = []
            so_far = 0
            for account_id, times in bursts:
                told.reads.broken = chance.random() < 0.1
                await told.happens(account_id, times)
                so_far += times
                listener = chance.choice(ACCOUNTS)
                after = chance.choice((0, so_far))
                if after < mine[listener][-1]:
                    pause, until = chance.choice((0, 1, 50)), mine[listener][-1]
                    if chance.random() < 0.5:
                        heard = listen(told, listener, after, until, pause)
                    else:
                        heard = listen_at_once(
                            told, listener, after, until, lambda: chance.random() < 0.7
                        )
                    hearing.append((listener, after, asyncio.create_task(heard)))
            for listener, after, task in hearing:
                assert await task == [seq for seq in mine[listener] if seq > after]

    play()


@on_asyncio
async def test_a_hundred_listeners_cost_one_read_an_event(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "coordinator.db") as database:
        told = Told(database)
        heard: asyncio.Queue[None] = asyncio.Queue()
        hearing = [
            asyncio.create_task(listen(told, "ada", 0, 100, 0, lambda: heard.put_nowait(None)))
            for _ in range(100)
        ]

        async def happens_to_all() -> None:
            await told.happens("ada")
            for _ in range(100):
                await heard.get()

        # What happens while they, and the tail, begin they read for themselves: for how long is the machine's affair.
        rounds, own = 0, -1
        while own != told.reads.own:
            own = told.reads.own
            await happens_to_all()
            rounds += 1
        new = told.reads.new
        for _ in range(8):
            await happens_to_all()
        # Each for itself would be 800 reads.
        assert told.reads.own == own
        assert told.reads.new - new <= 2 * 8 + 2
        await told.happens("ada", 100 - rounds - 8)
        for one in hearing:
            assert await one == list(range(1, 101))


@on_asyncio
async def test_who_keeps_up_is_told_at_once_with_what_is_the_same_for_all(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "coordinator.db") as database:
        told = Told(database)
        heard: list[list[Sequence[TaskEvent]]] = [[] for _ in range(300)]
        woken: list[int] = []

        def hearer(mine: list[Sequence[TaskEvent]]) -> Callable[[Sequence[TaskEvent]], bool]:
            def tell(happenings: Sequence[TaskEvent]) -> bool:
                mine.append(happenings)
                return True

            return tell

        async def follow(mine: list[Sequence[TaskEvent]]) -> None:
            async for event in told.tail.follow("ada", 0, hearer(mine)):
                mine.append((event,))
                woken.append(event.seq)

        async def happens_to_all(seq: int) -> None:
            await told.happens("ada")
            while not all(mine and mine[-1][-1].seq == seq for mine in heard):  # noqa: ASYNC110 - what is told at once wakes nobody
                await asyncio.sleep(0)

        following = [asyncio.create_task(follow(mine)) for mine in heard]
        # What happens while they, and the tail, begin they read for themselves.
        begun = 1
        await happens_to_all(begun)
        while woken:
            woken.clear()
            begun += 1
            await happens_to_all(begun)
        for seq in (begun + 1, begun + 2, begun + 3):
            await happens_to_all(seq)
            assert all(mine[-1] is heard[0][-1] for mine in heard)
        assert woken == []
        for one in following:
            one.cancel()
        await asyncio.gather(*following, return_exceptions=True)


@on_asyncio
async def test_where_nobody_listens_nothing_is_read(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "coordinator.db") as database:
        told = Told(database)
        await told.happens("ada")
        assert await listen(told, "ada", 0, 1, 0) == [1]
        read = told.reads.new + told.reads.own
        for _ in range(5):
            await told.happens("ada")
            await asyncio.sleep(0.002)
        assert told.reads.new + told.reads.own == read
        # Whoever comes back finds it.
        assert await listen(told, "ada", 1, 6, 0) == [2, 3, 4, 5, 6]
