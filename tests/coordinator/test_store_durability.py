"""What an answer promises when the power fails: see `store.write_ahead_log`."""

import asyncio
import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store.away import DiskFailed
from neurogrid_coordinator.store.database import Database


def insert(conn: Connection, number: int, name: str = "") -> None:
    conn.execute(
        text(
            "insert into accounts (id, name, wallet, created_at_ms) values (:id, :name, :wallet, 0)"
        ),
        {"id": str(number), "name": name, "wallet": f"wallet {number}"},
    )


def count(conn: Connection) -> int:
    return len(conn.execute(text("select id from accounts")).all())


class _Disk:
    """A disk that has of the log only what it was told to have: each time, what database and log were then is kept.

    SQLite has forced all other writes itself by then: it does so before it begins a log anew.

    Attributes:
        on_it: what a power failure would leave now, as a folder.
    """

    def __init__(self, path: Path, kept: Path) -> None:
        self._path = path
        self._kept = kept
        self.on_it = kept
        self.log_bytes: list[int] = []

    def sync(self, descriptor: int) -> None:
        image = self._kept / str(len(self.log_bytes))
        image.mkdir(parents=True)
        log = Path(f"{self._path}-wal").read_bytes()
        (image / "db").write_bytes(self._path.read_bytes())
        (image / "db-wal").write_bytes(log)
        self.log_bytes.append(len(log))
        os.fdatasync(descriptor)
        self.on_it = image


@on_asyncio
async def test_after_a_power_failure_all_is_there_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "db"
    disk = _Disk(path, tmp_path / "kept")
    acknowledged: dict[Path, set[str]] = {}
    # Five pages each: SQLite begins its log anew after a thousand or so.
    name = "n" * 20_000

    async with Database.open(path, sync=disk.sync) as db:

        async def client(number: int) -> None:
            for one in range(number, 800, 16):
                write = db.write_briefly if one % 3 else db.write
                await write(insert, one, name)
                acknowledged.setdefault(disk.on_it, set()).add(str(one))

        await asyncio.gather(*(client(number) for number in range(16)))

    # It was begun anew, more than once: else it would have four thousand pages.
    assert max(disk.log_bytes) < 2500 * 4096
    assert sum(map(len, acknowledged.values())) == 800
    told: set[str] = set()
    for image, ids in sorted(acknowledged.items(), key=lambda item: int(item[0].name)):
        told |= ids
        connection = sqlite3.connect(image / "db")
        there = {id for (id,) in connection.execute("select id from accounts")}
        assert connection.execute("pragma quick_check").fetchall() == [("ok",)]
        connection.close()
        assert told <= there


class _Gate:
    """A disk that is slow until it is told to go on."""

    def __init__(self) -> None:
        self.is_slow = False
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def sync(self, descriptor: int) -> None:
        if self.is_slow:
            self.asked.set()
            # Whoever fails meanwhile need not say so.
            self.go_on.wait(10)
        os.fdatasync(descriptor)

    async def wait_until_asked(self) -> None:
        await asyncio.to_thread(self.asked.wait)


async def two_writes(db: Database, disk: _Gate) -> tuple[asyncio.Task[None], asyncio.Task[None]]:
    """One that waits for the disk, and the next one, which is carried out meanwhile, though not committed."""
    disk.is_slow = True
    first = asyncio.create_task(db.write_briefly(insert, 1))
    await disk.wait_until_asked()
    carried_out = asyncio.Event()

    def insert_and_say_so(conn: Connection) -> None:
        insert(conn, 2)
        carried_out.set()

    second = asyncio.create_task(db.write_briefly(insert_and_say_so))
    await carried_out.wait()
    return first, second


@pytest.mark.parametrize("read", ["read", "read_briefly"])
@on_asyncio
async def test_nobody_hears_of_a_write_that_is_not_on_the_disk(tmp_path: Path, read: str) -> None:
    disk = _Gate()
    async with Database.open(tmp_path / "db", sync=disk.sync) as db:
        first, second = await two_writes(db, disk)
        seen: list[int] = []
        looked = threading.Event()

        def look(conn: Connection) -> int:
            seen.append(count(conn))
            looked.set()
            return seen[0]

        reading = asyncio.create_task(getattr(db, read)(look))
        await asyncio.to_thread(looked.wait)
        for _ in range(10):
            await asyncio.sleep(0)
        assert seen == [1]
        assert [task.done() for task in (first, second, reading)] == [False, False, False]
        disk.go_on.set()
        await asyncio.gather(first, second)
        assert await reading == 1
        assert await db.read(count) == 2


@on_asyncio
async def test_who_reads_does_not_wait_for_what_comes_after(tmp_path: Path) -> None:
    disk = _Gate()
    hold = threading.Event()

    def insert_slowly(conn: Connection) -> None:
        # Whoever fails meanwhile need not say so.
        hold.wait(10)
        insert(conn, 2)

    async with Database.open(tmp_path / "db", sync=disk.sync) as db:
        disk.is_slow = True
        first = asyncio.create_task(db.write_briefly(insert, 1))
        await disk.wait_until_asked()
        second = asyncio.create_task(db.write(insert_slowly))
        for _ in range(10):
            await asyncio.sleep(0)
        reading = asyncio.create_task(db.read_briefly(count))
        await asyncio.sleep(0)
        disk.go_on.set()
        await first
        assert await reading == 1
        assert not second.done()
        hold.set()
        await second


@on_asyncio
async def test_reads_do_not_wait_while_nothing_is_written(tmp_path: Path) -> None:
    asked: list[int] = []

    def sync(descriptor: int) -> None:
        asked.append(descriptor)
        os.fdatasync(descriptor)

    async with Database.open(tmp_path / "db", sync=sync) as db:
        await db.write(insert, 1)
        before = len(asked)
        assert await db.read(count) == await db.read_briefly(count) == 1
        assert len(asked) == before


def _failing(at: int) -> Callable[[int], None]:
    """A disk that fails at this question, and is well again after, as the kernel then says."""
    asked = [0]

    def sync(descriptor: int) -> None:
        asked[0] += 1
        if asked[0] == at:
            raise OSError(errno.EIO, "Input/output error")
        os.fdatasync(descriptor)

    return sync


@on_asyncio
async def test_when_the_disk_fails_nothing_is_acknowledged_any_more(tmp_path: Path) -> None:
    path = tmp_path / "db"
    # The first question is the migration's.
    async with Database.open(path, sync=_failing(3)) as db:
        await db.write(insert, 1)
        failing = asyncio.create_task(db.failing())
        outcomes = await asyncio.gather(
            *(db.write_briefly(insert, n) for n in (2, 3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [DiskFailed, DiskFailed]
        for call in (db.write(insert, 4), db.write_briefly(insert, 5), db.read(count)):
            with pytest.raises(DiskFailed, match="Input/output error"):
                await call
        with pytest.raises(DiskFailed):
            await db.read_briefly(count)
        with pytest.raises(DiskFailed):
            await failing
    async with Database.open(path) as db:
        # Whether what failed is there, nobody was told.
        assert await db.read(count) in (1, 3)


@on_asyncio
async def test_a_group_that_waits_behind_a_failed_disk_is_undone(tmp_path: Path) -> None:
    path = tmp_path / "db"
    disk = _Gate()

    def sync(descriptor: int) -> None:
        disk.sync(descriptor)
        if disk.is_slow:
            raise OSError(errno.EIO, "Input/output error")

    async with Database.open(path, sync=sync) as db:
        first, second = await two_writes(db, disk)
        disk.go_on.set()
        outcomes = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DiskFailed, DiskFailed]
    connection = sqlite3.connect(path)
    assert connection.execute("select id from accounts").fetchall() == [("1",)]
    connection.close()


def _copy(path: Path, folder: Path) -> None:
    """Database and log as they are, which is not empty."""
    folder.mkdir()
    log = Path(f"{path}-wal").read_bytes()
    assert log
    (folder / "db-wal").write_bytes(log)
    (folder / "db").write_bytes(path.read_bytes())


@on_asyncio
async def test_what_a_dead_process_left_in_the_log_is_copied_before_anything_is_appended(
    tmp_path: Path,
) -> None:
    path = tmp_path / "db"
    async with Database.open(path) as db:
        await db.write(insert, 1)
        left = tmp_path / "left"
        _copy(path, left)
    asked: list[int] = []

    def sync(descriptor: int) -> None:
        if not asked:
            # Nothing but what the start itself has written.
            asked.append(os.fstat(descriptor).st_size)
        os.fdatasync(descriptor)

    async with Database.open(left / "db", sync=sync) as db:
        assert await db.read(count) == 1
    assert asked == [0]
