"""Leases with their runners, for the tests of `executor`."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.lease_world import LeaseWorld, lease_world


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
