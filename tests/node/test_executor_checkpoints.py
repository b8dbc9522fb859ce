"""A lease whose job keeps its work: what is taken when, said until it is kept, and survives the node's deaths."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import CheckpointTaken
from neurogrid_marketplace.offer import LeasePhase
from node.lease_world import LeaseWorld, lease_world
from node.market import JOB, LEASE

KEEPS = replace(JOB, checkpoint=CheckpointPlan(interval_s=10))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    async with lease_world(tmp_path, job=KEEPS, reclaim_window_s=30) as made:
        made.sandbox.runs_for_s = 35.0
        yield made


def numbers(world: LeaseWorld) -> list[int]:
    """Of the checkpoints that the coordinator was told of, each once."""
    said = [message.checkpoint.sequence for message in world.all_sent(CheckpointTaken)]
    return list(dict.fromkeys(said))


async def test_one_is_taken_each_interval_and_said_until_it_is_kept(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    # It has stored the events, and answers nothing to the checkpoint.
    await world.until(lambda: len(world.lease.events) == 2)
    world.acknowledge()
    await world.until(lambda: len(world.all_sent(CheckpointTaken)) == 3)
    assert numbers(world) == [1]
    world.acknowledge()
    await world.until(lambda: len(numbers(world)) == 2)
    world.acknowledge()
    await world.until_phase(LeasePhase.REPORTED)
    result = world.result()
    assert result.checkpoint is not None
    assert result.checkpoint.sequence == numbers(world)[-1] == 3
    assert result.metered_ms == 35_000


async def test_a_line_of_the_job_asks_for_one(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    assert world.lease.snapshots.due_ms == 10_000
    await world.until(lambda: numbers(world) == [1])
    before_ms = world.lease.snapshots.begun_ms
    world.sandbox.write_log(LEASE, "NEUROGRID_CHECKPOINT\n")
    await world.until(lambda: world.lease.snapshots.number == 2)
    assert world.lease.snapshots.begun_ms - before_ms >= 10_000


async def test_what_a_reclaimed_run_left_stands_in_its_result(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600.0
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.reclaim()
    await world.until_phase(LeasePhase.REPORTED)
    result = world.result()
    assert result.outcome is Outcome.PREEMPTED
    assert result.checkpoint is not None
    assert result.checkpoint.sequence == world.lease.snapshots.number + 1


@pytest.mark.parametrize("seed", range(20))
async def test_a_node_that_dies_anywhere_says_nothing_of_what_is_not_whole(
    autojump_clock: MockClock, world: LeaseWorld, seed: int
) -> None:
    chance = random.Random(seed)

    def perhaps_die() -> None:
        if chance.random() < 0.1:
            world.die()

    world.journal.passed = world.sandbox.passed = perhaps_die
    with trio.fail_after(3_600):
        while world.journal.inline.load():
            if world.is_dead:
                await world.restart()
            world.start()
            world.acknowledge(closed=not world.earnings.is_open)
            if world.phase in (LeasePhase.REPORTED, LeasePhase.CLAIMING):
                world.voucher(7, final=True)
            await trio.sleep(0.3)
    assert numbers(world) == sorted(numbers(world))
    assert numbers(world)
    results = [event.result for event in world.lease.events if event.result is not None]
    (result,) = results
    assert result.checkpoint is not None
    assert result.checkpoint.sequence >= numbers(world)[-1]
