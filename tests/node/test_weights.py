"""Weights of models that were here: each once, whole, its coordinator's alone, and gone when there are too many."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from neurogrid_marketplace.job import InputFile
from neurogrid_marketplace.serving import WeightsFile
from neurogrid_node.files.weights import Weights

OURS, THEIRS = "12D3Ours", "12D3Theirs"
SIZE = 1000


def named(letter: str, path: str = "deep/model.bin") -> InputFile:
    return InputFile(path, hashlib.sha256(letter.encode() * SIZE).hexdigest(), SIZE)


class Jobs:
    """Inputs of jobs, as preparing them leaves them."""

    def __init__(self, folder: Path, limit_bytes: int = 10**9) -> None:
        self.folder = folder
        self.weights = Weights(folder / ".weights", limit_bytes)

    def inputs(self, lease: str) -> Path:
        folder = self.folder / lease / "inputs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def fetched(self, lease: str, letter: str, coordinator: str = OURS) -> Path:
        """A replica's file comes, and is kept."""
        wanted = named(letter)
        target = self.inputs(lease) / wanted.path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(letter.encode() * SIZE)
        await self.weights.keep(coordinator, wanted, self.inputs(lease))
        return target

    async def placed(self, lease: str, letter: str, coordinator: str = OURS) -> bool:
        return await self.weights.place(coordinator, named(letter), self.inputs(lease))

    def kept(self) -> set[str]:
        """By name alone: who reads a file uses it."""
        letters = {named(letter).sha256: letter for letter in "abcde"}
        return {letters[path.name] for path in self.folder.glob(".weights/*/*")}

    def kept_at(self, letter: str) -> Path:
        return self.folder / ".weights" / OURS / named(letter).sha256


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


async def test_what_one_replica_fetched_is_there_for_the_next_and_takes_no_more_room(
    jobs: Jobs,
) -> None:
    assert not await jobs.placed("one", "a")
    first = await jobs.fetched("one", "a")
    assert await jobs.placed("two", "a")
    second = jobs.inputs("two") / named("a").path
    assert second.samefile(first)
    assert second.stat().st_mode & 0o777 == first.stat().st_mode & 0o777
    # Once more, as after a death of the daemon.
    assert await jobs.placed("two", "a")
    asked = (WeightsFile(named("a").sha256, SIZE), WeightsFile(named("b").sha256, SIZE))
    assert await jobs.weights.here_bytes(OURS, asked) == SIZE
    assert await jobs.weights.here_bytes(OURS, (*asked, *asked)) == SIZE


async def test_no_coordinator_gets_or_hears_of_what_another_has_brought(jobs: Jobs) -> None:
    await jobs.fetched("one", "a")
    assert not await jobs.placed("two", "a", THEIRS)
    assert await jobs.weights.here_bytes(THEIRS, (WeightsFile(named("a").sha256, SIZE),)) == 0


@pytest.mark.parametrize("changed", [b"b" * SIZE, b"a" * (SIZE - 1), b""])
async def test_a_file_that_was_changed_is_given_to_nobody(jobs: Jobs, changed: bytes) -> None:
    (await jobs.fetched("one", "a")).write_bytes(changed)
    assert not await jobs.placed("two", "a")
    assert jobs.kept() == set()
    assert list(jobs.inputs("two").rglob("*.bin")) == []


async def test_a_file_that_was_touched_is_read_again_and_stays(jobs: Jobs) -> None:
    os.utime(await jobs.fetched("one", "a"))
    assert await jobs.placed("two", "a")
    assert jobs.kept() == {"a"}


async def test_what_stands_in_its_place_is_replaced(jobs: Jobs) -> None:
    await jobs.fetched("one", "a")
    other = jobs.inputs("two") / named("a").path
    other.parent.mkdir()
    other.write_bytes(b"half of it")
    assert await jobs.placed("two", "a")
    assert other.read_bytes() == b"a" * SIZE


async def test_the_longest_unused_go_first_and_none_that_a_job_has(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path, 2 * SIZE)
    for number, letter in enumerate("abcde"):
        (await jobs.fetched(letter, letter)).unlink()
        path = jobs.kept_at(letter)
        os.utime(path, ns=(number * 10**9, path.stat().st_mtime_ns))
    # The oldest is needed again.
    assert await jobs.placed("again", "a")
    assert await jobs.weights.trim() == 2 * SIZE
    assert jobs.kept() == {"a", "d", "e"}
    (jobs.inputs("again") / named("a").path).unlink()
    await jobs.weights.trim()
    assert jobs.kept() == {"a", "e"}, "that was used last"


async def test_room_is_made_of_what_nobody_has(jobs: Jobs) -> None:
    await jobs.weights.make_room(1)
    await jobs.fetched("one", "a")
    (await jobs.fetched("two", "b")).unlink()
    await jobs.weights.make_room(1)
    assert jobs.kept() == {"a", "b"}
    await jobs.weights.make_room(10**18)
    assert jobs.kept() == {"a"}


async def test_no_more_goes_than_has_to(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, letter in enumerate("abc"):
        (await jobs.fetched(letter, letter)).unlink()
        os.utime(jobs.kept_at(letter), ns=(number * 10**9, 10**18))
    free = iter([0, 0, 10**12])
    usage = shutil.disk_usage(jobs.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=next(free)))
    await jobs.weights.make_room(1)
    assert jobs.kept() == {"c"}
