"""Whom to displace."""

from collections.abc import Collection

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_node.market.reclaiming import Reclaimable, choose


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
