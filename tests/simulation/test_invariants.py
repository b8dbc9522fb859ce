"""Hundreds of seeded runs of the whole market; a failure prints its seed, and the seed repeats it."""

import pytest

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Phase

from .clockwork import Chaos
from .seeds import seeds
from .world import DEAD_AFTER_S, World

STORM = Chaos(
    loss=0.15,
    duplication=0.15,
    delay_ms=2_000,
    crash=0.01,
    down_ms=20_000,
    chain_loss=0.2,
    node_death=0.3,
)
# Every process is killed again and again, but nobody is away for as long as the lease allows.
RESTARTS = Chaos(crash=0.02, down_ms=4_000, chain_loss=0.1)
CALM = Chaos()


@pytest.mark.parametrize("seed", seeds(200))
def test_a_storm_loses_no_task_and_no_money(seed: int) -> None:
    world = World(seed, STORM)
    world.run()
    world.check()


@pytest.mark.parametrize("seed", seeds(75))
def test_restarts_end_no_lease(seed: int) -> None:
    world = World(seed, RESTARTS)
    world.run()
    world.check()
    for task_id in world.task_ids:
        task = world.coordinator.tasks[task_id]
        ended = task.phase is Phase.COMPLETED or (
            task.ending and task.ending.code == "TIME_EXCEEDED"
        )
        assert ended, task.ending
        assert task.attempts == 0, f"a lease was closed by a restart: {task.last_explanation}"


@pytest.mark.parametrize("seed", seeds(75))
def test_a_storm_runs_every_task_after_what_it_needs_or_not_at_all(seed: int) -> None:
    world = World(seed, STORM, tasks=6, linked=True)
    for task_id in world.task_ids[: seed % 3]:
        world.clockwork.later(
            5_000 + world.clockwork.random.randrange(60_000),
            lambda task_id=task_id: (  # type: ignore[misc]  # binds the loop's value
                world.coordinator.cancel(task_id) if task_id in world.coordinator.tasks else None
            ),
        )
    world.run()
    world.check()


@pytest.mark.parametrize("seed", seeds(25))
def test_a_storm_never_puts_two_of_a_group_on_one_node(seed: int) -> None:
    """`SimCoordinator` asserts it at every award."""
    world = World(seed, STORM, tasks=5, apart=True)
    world.run()
    world.check()


def test_deadlines_are_kept_by_some_and_missed_by_others() -> None:
    """Otherwise the run above would prove nothing of them."""
    worlds = [World(seed, STORM, tasks=6, linked=True) for seed in range(20)]
    for world in worlds:
        world.run()
    ends = [
        world.coordinator.tasks[task_id].ending
        for world in worlds
        for task_id in world.task_ids
        if world.deadlines[task_id]
    ]
    codes = [ending.code for ending in ends if ending is not None]
    assert codes.count("DEADLINE_MISSED") > 3
    assert codes.count("COMPLETED") > 3


def test_the_seeds_do_hurt() -> None:
    """Otherwise the runs above would prove nothing."""
    worlds = [World(seed, STORM) for seed in range(20)]
    for world in worlds:
        world.run()
    assert sum(world.coordinator.crashes for world in worlds) > 20
    assert sum(node.crashes for world in worlds for node in world.nodes.values()) > 20
    assert any(world.coordinator.lost for world in worlds)


def test_a_lease_is_given_up_only_after_the_agreed_silence() -> None:
    for seed in range(40):
        world = World(seed, STORM)
        world.run()
        for lease_id, silent_ms in world.coordinator.lost:
            assert silent_ms > DEAD_AFTER_S * 1000, f"seed {seed}: {lease_id}"


def test_in_calm_weather_every_task_is_paid_exactly_what_it_cost() -> None:
    world = World(1, CALM)
    world.run()
    world.check()
    tasks = [world.coordinator.tasks[task_id] for task_id in world.task_ids]
    assert all(task.result and task.result.outcome is Outcome.COMPLETED for task in tasks)
    paid = sum(world.chain.providers.values())
    assert paid == sum(task.cost_micro_usdc for task in tasks) > 0


def test_cancelled_tasks_come_to_rest_too() -> None:
    for seed in range(60):
        world = World(seed, STORM)
        for number, task_id in enumerate(world.task_ids):
            delay_ms = world.clockwork.random.randrange(120_000)
            world.clockwork.later(
                1_000 * (number + 5) + delay_ms,
                lambda task_id=task_id, world=world: (  # type: ignore[misc]  # binds the loop's values
                    world.coordinator.cancel(task_id)
                    if task_id in world.coordinator.tasks
                    else None
                ),
            )
        world.run()
        world.check()
