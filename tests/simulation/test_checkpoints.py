"""Jobs with checkpoints, on nodes that take their machines back, die and are killed anywhere.

`SimNode` asserts of each start that the checkpoint which it begins from is whole, and of an earlier lease of
the same task; `World.check`, that all that is kept is.
"""

import pytest

from neurogrid_marketplace.task import Phase

from .seeds import seeds
from .test_invariants import CALM, RESTARTS, STORM
from .world import World


@pytest.mark.parametrize("seed", seeds(60))
def test_in_a_storm_no_run_begins_from_a_checkpoint_that_is_not_whole_or_anothers(
    seed: int,
) -> None:
    world = World(seed, STORM, tasks=6, spot=True, keeps=True)
    world.run()
    world.check()


@pytest.mark.parametrize("seed", seeds(30))
def test_restarts_around_checkpoints_blame_nobody(seed: int) -> None:
    world = World(seed, RESTARTS, tasks=6, spot=True, keeps=True)
    world.run()
    world.check()
    for task_id in world.task_ids:
        assert world.coordinator.tasks[task_id].attempts == 0


def resumptions(world: World) -> int:
    """How many leases of a world began from a checkpoint."""
    return sum(lease.resumed is not None for _, lease in world.coordinator.leases.values())


def test_the_seeds_do_resume() -> None:
    """Otherwise the runs above would prove nothing."""
    worlds = [
        World(seed, chaos, tasks=6, spot=True, keeps=True)
        for seed, chaos in enumerate([CALM, STORM] * 5)
    ]
    for world in worlds:
        world.run()
        world.check()
    calm, stormy = worlds[::2], worlds[1::2]
    assert sum(map(resumptions, calm)) > 5
    assert sum(map(resumptions, stormy)) > 5
    again = [world.coordinator.tasks[task_id] for world in worlds for task_id in world.task_ids]
    assert any(task.phase is Phase.COMPLETED and task.preemptions for task in again)


def test_in_calm_weather_a_preempted_run_is_always_gone_on_from() -> None:
    """What its last lease left when it was stopped is what the next one begins from."""
    for seed in range(5):
        world = World(seed, CALM, tasks=6, spot=True, keeps=True)
        world.run()
        for task_id in world.preemptible:
            its = [lease for owner, lease in world.coordinator.leases.values() if owner == task_id]
            ran = [lease for lease in its if world.chain.closed.get(lease.lease_id, 0)]
            assert all(lease.resumed is not None for lease in ran[1:])
