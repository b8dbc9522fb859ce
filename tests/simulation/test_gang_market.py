"""Gangs that contend for the same nodes: none is stuck, and each runs at once or not at all."""

import pytest

from neurogrid_marketplace.task import TERMINAL

from .gang_market import GangMarket, completed, ended_at_ms

SEEDS = range(40)
# Far more than one after the other takes: four seconds of work each, and their pauses.
LIMIT_MS = 600_000


@pytest.mark.parametrize("sizes", [(3, 3), (2, 3, 4), (4, 4, 4, 4)], ids=str)
def test_gangs_of_several_coordinators_that_want_the_same_nodes_all_run(
    sizes: tuple[int, ...],
) -> None:
    for seed in SEEDS:
        market = GangMarket(seed, sizes, nodes=max(sizes))
        market.run()
        assert completed(market) == len(sizes), f"seed {seed}"
        assert ended_at_ms(market) < LIMIT_MS, f"seed {seed}"
        assert len(market.started) == sum(sizes), f"seed {seed}: started more than once"


def test_with_nodes_that_fail_each_gang_still_ends_and_holds_no_node() -> None:
    for seed in SEEDS:
        market = GangMarket(seed, (2, 3), nodes=8, fault_permille=150)
        market.run()
        phases = {task.phase for each in market.members.values() for task in each}
        assert phases <= TERMINAL, f"seed {seed}"
        held = [machine.holder for machine in market.machines.values()]
        assert not any(holder.startswith("lease") for holder in held), f"seed {seed}"
