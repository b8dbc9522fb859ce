"""One market for all tests of this folder: bringing it up takes most of the time."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netns.market import World, running


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A chain, two coordinators and a node, on machines of their own."""
    with running(tmp_path_factory.mktemp("market")) as world:
        yield world


@pytest.fixture(scope="module", autouse=True)
def all_threads_at_home() -> Iterator[None]:
    """Threads that were begun inside of a machine stay there, and trio keeps idle ones for ten seconds: a process that one
    of them starts for another folder's test would listen where nobody is."""
    yield
    until_s = time.monotonic() + 30
    while _away() and time.monotonic() < until_s:
        time.sleep(0.2)
    assert not _away(), "threads of these tests are still in other machines' networks"


def _away() -> list[str]:
    home = Path("/proc/self/ns/net").readlink()
    return [
        task.name
        for task in Path("/proc/self/task").iterdir()
        if (task / "ns/net").exists() and (task / "ns/net").readlink() != home
    ]
