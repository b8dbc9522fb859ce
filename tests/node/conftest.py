"""Leases with their runners, for the tests of `executor`, and a provider that sells."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from neurogrid_node.journal import Journal
from node.lease_world import LeaseWorld, lease_world
from node.seller import Seller


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    async with lease_world(tmp_path) as made:
        yield made


@pytest.fixture
async def poor(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    """A lease whose node is never more than ten seconds of work ahead."""
    async with lease_world(tmp_path, max_unpaid_ms=10_000) as made:
        yield made


@pytest.fixture
async def spot_world(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    """A lease that its node may reclaim, half a minute after a warning."""
    async with lease_world(tmp_path, reclaim_window_s=30) as made:
        yield made


@pytest.fixture
def seller(tmp_path: Path) -> Iterator[Seller]:
    journal = Journal(tmp_path / "journal.db")
    yield Seller(journal)
    journal.close()
