"""The node's copy of a job's log: bounded, resumable, the same however it was interrupted."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.resources import Requirements
from neurogrid_node.container.log_cursor import LOG_START, LogCursor, StreamCursor
from neurogrid_node.journal import Journal, JournalThread, LogPosition
from neurogrid_node.lease.job_log import CUT_NOTE, LOG_BYTES_MAX, JobLog
from neurogrid_node.market.reservations import Reservation

LEASE = "lease_1"
HASH = "0" * 64
AWARD = Award(LEASE, "demand_1", HASH, HASH, (), 1, 1, 60, 10, HASH)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db")
    need = Requirements(cpu_millis=1000, memory_bytes=1, disk_bytes=1)
    made.add(accept(AWARD, "coordinator", 1, 1), Reservation(need, (), None))
    yield made
    made.close()


def at(time_ns: int) -> LogCursor:
    return LogCursor(stdout=StreamCursor(time_ns, 1))


def log_of(journal: Journal, tmp_path: Path, *, max_bytes: int = LOG_BYTES_MAX) -> JobLog:
    return JobLog(LEASE, tmp_path / "job.log", JournalThread(journal), max_bytes=max_bytes)


async def opened(journal: Journal, tmp_path: Path, *, max_bytes: int = LOG_BYTES_MAX) -> JobLog:
    log = log_of(journal, tmp_path, max_bytes=max_bytes)
    await log.open()
    return log


async def test_a_new_log_goes_on_where_the_last_one_was_journaled(
    journal: Journal, tmp_path: Path
) -> None:
    first = await opened(journal, tmp_path)
    await first.append("one\n", at(10))
    with (tmp_path / "job.log").open("a") as file:
        file.write("two\n")  # written, but the node was killed before it was journaled
    second = await opened(journal, tmp_path)
    assert second.cursor == at(10)
    await second.append("two\n", at(20))
    assert await second.read(0, 100) == "one\ntwo\n"
    assert await second.sha256() == hashlib.sha256(b"one\ntwo\n").hexdigest()


async def test_all_who_open_it_at_once_find_it_open(journal: Journal, tmp_path: Path) -> None:
    first = await opened(journal, tmp_path)
    await first.append("one\n", at(10))
    second = log_of(journal, tmp_path)
    seen: list[LogCursor] = []

    async def open_and_look() -> None:
        await second.open()
        seen.append(second.cursor)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(open_and_look)
    assert seen == [at(10)] * 3


async def test_a_write_that_failed_halfway_leaves_nothing_behind(
    journal: Journal, tmp_path: Path
) -> None:
    log = await opened(journal, tmp_path)
    await log.append("one\n", at(10))
    with (tmp_path / "job.log").open("a") as file:
        file.write("tw")  # the disk was full after two bytes, and this daemon lives on
    await log.append("two\n", at(20))
    assert await log.read(0, 100) == "one\ntwo\n"
    assert journal.log_position(LEASE) == LogPosition(8, at(20))


async def test_a_log_file_that_was_taken_away_is_told_again_from_the_start(
    journal: Journal, tmp_path: Path
) -> None:
    first = await opened(journal, tmp_path)
    await first.append("one\n", at(10))
    os.truncate(tmp_path / "job.log", 1)
    second = await opened(journal, tmp_path)
    assert (second.size_bytes, second.cursor) == (0, LOG_START)
    assert journal.log_position(LEASE) == LogPosition(0, LOG_START)


async def test_it_is_cut_between_characters_at_its_limit_and_says_so(
    journal: Journal, tmp_path: Path
) -> None:
    log = await opened(journal, tmp_path, max_bytes=7)
    await log.append("äää", at(10))
    assert not log.full
    await log.append("ä!", at(20))
    assert log.full
    await log.append("never seen", at(30))
    assert await log.read(0, 100) == "äää" + CUT_NOTE
    # The same after a restart: nothing more is taken, and the note is not repeated.
    again = await opened(journal, tmp_path, max_bytes=7)
    assert again.full
    await again.append("never seen", at(30))
    assert await again.read(0, 100) == "äää" + CUT_NOTE


async def test_a_log_of_exactly_the_limit_is_whole(journal: Journal, tmp_path: Path) -> None:
    log = await opened(journal, tmp_path, max_bytes=4)
    await log.append("1234", at(10))
    assert not log.full
    assert await log.read(0, 100) == "1234"
    await log.append("5", at(20))
    assert await log.read(0, 100) == "1234" + CUT_NOTE


async def test_pieces_are_cut_between_characters_and_add_up(
    journal: Journal, tmp_path: Path
) -> None:
    log = await opened(journal, tmp_path)
    await log.append("aäöü€𝄞z", at(10))
    text = ""
    while piece := await log.read(len(text.encode()), 5):
        assert len(piece.encode()) <= 5
        text += piece
    assert text == "aäöü€𝄞z"
    assert await log.read(10_000, 5) == ""


async def test_its_reader_waits_for_more(journal: Journal, tmp_path: Path) -> None:
    log = await opened(journal, tmp_path)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.append, "one\n", at(10))
        await log.grown(0)
    assert log.size_bytes == 4


async def test_progress_is_the_last_that_was_printed(journal: Journal, tmp_path: Path) -> None:
    log = await opened(journal, tmp_path)
    await log.append("NEUROGRID_PROGRESS 0.1 a\nNEUROGRID_PROGRESS 0.25 b c\nother\n", at(10))
    assert (log.progress.permille, log.progress.note) == (250, "b c")
