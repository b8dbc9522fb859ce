"""Nodes that take their machines back at any moment, in kind weather and in storms.

`SimNode` asserts at each stop that the job was warned, and its window over; `World.check` that no ordinary
task was ever reclaimed, and that costs add up.
"""

import pytest

from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.preemption import MAX_PREEMPTIONS
from neurogrid_marketplace.task import Phase

from .seeds import seeds
from .test_invariants import CALM, RESTARTS, STORM
from .world import World

MOST_MICRO_USDC = cost_micro_usdc(100_000, 600_000)


@pytest.mark.parametrize("seed", seeds(60))
def test_a_storm_of_reclaims_loses_no_task_and_no_money(seed: int) -> None:
    world = World(seed, STORM, tasks=6, spot=True)
    world.run()
    world.check()


@pytest.mark.parametrize("seed", seeds(30))
def test_restarts_around_reclaims_blame_nobody_and_cost_no_more_than_was_held(seed: int) -> None:
    world = World(seed, RESTARTS, tasks=6, spot=True)
    world.run()
    world.check()
    for task_id in world.task_ids:
        task = world.coordinator.tasks[task_id]
        assert task.attempts == 0, f"somebody was blamed: {task.last_explanation}"
        assert task.cost_micro_usdc <= MOST_MICRO_USDC
        assert task.preemptions <= MAX_PREEMPTIONS


def test_the_seeds_do_reclaim() -> None:
    """Otherwise the runs above would prove nothing."""
    worlds = [World(seed, CALM, tasks=6, spot=True) for seed in range(10)]
    for world in worlds:
        world.run()
        world.check()
    tasks = [world.coordinator.tasks[task_id] for world in worlds for task_id in world.task_ids]
    assert sum(task.preemptions for task in tasks) > 10
    assert sum(node.preempted for world in worlds for node in world.nodes.values()) > 5
    assert any(task.preemptions and task.phase is Phase.COMPLETED for task in tasks)
