"""Leases for use under every unkindness: what is paid is what was billed, and never more than was delivered."""

import pytest

from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.units import NOTHING_SERVED

from .model_world import MAX_COST_MICRO_USDC, PRICES, ModelWorld
from .seeds import seeds
from .test_invariants import CALM, RESTARTS, STORM


@pytest.mark.parametrize("seed", seeds(40))
def test_a_storm_pays_for_nothing_that_was_not_delivered(seed: int) -> None:
    world = ModelWorld(seed, STORM)
    world.run()
    world.check()
    world.check_use()


@pytest.mark.parametrize("seed", seeds(25))
def test_restarts_lose_no_use_that_was_billed(seed: int) -> None:
    world = ModelWorld(seed, RESTARTS)
    world.run()
    world.check()
    world.check_use()
    for lease_id, (_, lease) in world.coordinator.leases.items():
        if lease.counts_use and lease_id in world.chain.closed:
            billed = world.coordinator.billed.get(lease_id, NOTHING_SERVED)
            owed = min(PRICES.cost_micro_usdc(billed), MAX_COST_MICRO_USDC)
            assert world.chain.closed[lease_id] == owed


def test_in_calm_weather_use_is_billed_as_it_is_delivered_and_paid() -> None:
    brought = 0
    for seed in range(10):
        world = ModelWorld(seed, CALM)
        world.run()
        world.check()
        brought += world.check_use()
        for lease_id, units in world.delivered.items():
            assert world.coordinator.billed[lease_id] == units
        for task_id in world.task_ids[1:]:
            task = world.coordinator.tasks[task_id]
            # One whose replica ended before it was awarded never began.
            assert task.phase is (Phase.COMPLETED if task.leases else Phase.EXPIRED)
    assert brought > 10_000
