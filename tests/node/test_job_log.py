"""The node's copy of a job's log: bounded, resumable, the same however it was interrupted."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.resources import Requirements
from neurogrid_node.job_log import LOG_BYTES_MAX, JobLog
from neurogrid_node.journal import Journal
from neurogrid_node.reservations import Reservation

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


def log_of(journal: Journal, tmp_path: Path) -> JobLog:
    return JobLog(LEASE, tmp_path / "job.log", journal, trio.CapacityLimiter(1))


async def test_a_new_log_goes_on_where_the_last_one_was_journaled(
    journal: Journal, tmp_path: Path
) -> None:
    first = log_of(journal, tmp_path)
    await first.open()
    await first.append("one\n", 10)
    with (tmp_path / "job.log").open("a") as file:
        file.write("two\n")  # written, but the node was killed before it was journaled
    second = log_of(journal, tmp_path)
    await second.open()
    assert second.until_ns == 10
    await second.append("two\n", 20)
    assert await second.read(0, 100) == "one\ntwo\n"
    assert await second.sha256() == hashlib.sha256(b"one\ntwo\n").hexdigest()


async def test_all_who_open_it_at_once_find_it_open(journal: Journal, tmp_path: Path) -> None:
    first = log_of(journal, tmp_path)
    await first.open()
    await first.append("one\n", 10)
    second = log_of(journal, tmp_path)
    seen: list[int] = []

    async def open_and_look() -> None:
        await second.open()
        seen.append(second.until_ns)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(open_and_look)
    assert seen == [10, 10, 10]


async def test_it_is_cut_at_its_limit_and_says_so(journal: Journal, tmp_path: Path) -> None:
    log = log_of(journal, tmp_path)
    await log.open()
    await log.append("ä" * (LOG_BYTES_MAX // 2) + "x", 10)
    await log.append("never seen", 20)
    assert log.full
    assert "never seen" not in await log.read(LOG_BYTES_MAX - 100, 1000)
    assert (await log.read(LOG_BYTES_MAX - 2, 1000)).startswith("ä\n[neurogrid: the log was cut")


async def test_its_reader_waits_for_more(journal: Journal, tmp_path: Path) -> None:
    log = log_of(journal, tmp_path)
    await log.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.append, "one\n", 10)
        await log.grown(0)
    assert log.size_bytes == 4


async def test_progress_is_the_last_that_was_printed(journal: Journal, tmp_path: Path) -> None:
    log = log_of(journal, tmp_path)
    await log.open()
    await log.append("NEUROGRID_PROGRESS 0.1 a\nNEUROGRID_PROGRESS 0.25 b c\nother\n", 10)
    assert (log.progress.permille, log.progress.note) == (250, "b c")
