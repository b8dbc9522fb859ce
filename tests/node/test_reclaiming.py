"""Whom to displace, and the owner's own word."""

from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.reclaiming import ALL, Reclaimable, choose, follow_requests, request

LEASE = "lease_" + "1" * 32


def test_little_work_is_lost_first_and_nobody_goes_in_vain() -> None:
    sizes = {"small": 1, "large": 4, "old": 4}
    leases = [Reclaimable("small", 60, 5), Reclaimable("large", 60, 10), Reclaimable("old", 60, 99)]

    def fits(gone: Collection[str]) -> bool:
        return sum(sizes[lease] for lease in gone) >= 4

    assert [lease.lease_id for lease in choose(leases, fits)] == ["large"]
    assert choose(leases, lambda _: False) == ()
    assert choose([], lambda _: True) == ()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 99)), max_size=8), st.integers(1, 40))
def test_whoever_is_chosen_is_needed(leases: list[tuple[int, int]], wanted: int) -> None:
    sizes = {f"lease_{number}": size for number, (size, _) in enumerate(leases)}
    may_go = [
        Reclaimable(f"lease_{number}", 60, metered) for number, (_, metered) in enumerate(leases)
    ]

    def fits(gone: Collection[str]) -> bool:
        return sum(sizes[lease] for lease in gone) >= wanted

    chosen = [lease.lease_id for lease in choose(may_go, fits)]
    assert bool(chosen) == fits(list(sizes))
    if chosen:
        assert fits(chosen)
        for spared in chosen:
            assert not fits([lease for lease in chosen if lease != spared])


def test_a_request_names_a_lease_or_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no lease id"):
        request(tmp_path, "../journal.db")
    for _ in range(2):
        request(tmp_path, LEASE)
        request(tmp_path, ALL)
    assert {path.name for path in (tmp_path / "reclaim").iterdir()} == {LEASE, ALL}


async def test_a_request_stays_until_it_is_carried_out(tmp_path: Path) -> None:
    """Whatever dies between: what is asked for is asked again."""
    request(tmp_path, LEASE)
    asked: list[str] = []

    def reclaim(what: str) -> bool:
        asked.append(what)
        return len(asked) == 3

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(follow_requests, tmp_path, reclaim, look_s=0))
        with trio.fail_after(60):
            while (tmp_path / "reclaim" / LEASE).exists():
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert asked == [LEASE] * 3
