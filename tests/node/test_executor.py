"""A lease from start to forgotten, and a node that dies on the way."""

import random

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Claimed, Event, EventKind
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.journal import Earned
from node.lease_world import LeaseWorld
from node.market import LEASE

PHASES = (
    LeasePhase.ACCEPTED,
    LeasePhase.PREPARING,
    LeasePhase.RUNNING,
    LeasePhase.COLLECTING,
    LeasePhase.REPORTED,
    LeasePhase.CLAIMING,
)


async def test_a_good_run_from_start_to_forgotten(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.outputs = (OutputFile("out", "1" * 64, 3),)
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, "hello\n")
    await world.until_phase(LeasePhase.REPORTED)
    result = world.result()
    assert (result.outcome, result.exit_code) == (Outcome.COMPLETED, 0)
    assert result.metered_ms == 5_000
    assert result.outputs == (OutputFile("out", "1" * 64, 3),)
    assert result.logs_bytes == 6
    # Container, files and resources are free before anybody pays.
    await world.until(lambda: world.cleared == [LEASE])
    assert world.sandbox.containers == {}
    await world.settle()
    assert world.earnings.redeemed == [7]
    assert world.journal.inline.earnings() == Earned(1, 7)
    assert world.journal.inline.load() == []
    assert world.sandbox.forgotten == world.earnings.forgotten == world.forgotten == [LEASE]
    assert [took.total_ms for took in world.started] == [300]
    kinds = {event.number: event.kind for event in world.all_sent(Event)}
    assert list(kinds.values()) == [EventKind.PREPARING, EventKind.STARTED, EventKind.FINISHED]
    assert Claimed(LEASE, "2" * 88) in world.all_sent(Claimed)
    assert world.log_sent() == "hello\n"


@pytest.mark.parametrize("phase", PHASES)
async def test_kill_9_in_any_phase_runs_the_job_once_and_is_paid_once(
    autojump_clock: MockClock, world: LeaseWorld, phase: LeasePhase
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.acknowledge_always)
        if phase is not LeasePhase.ACCEPTED:
            world.start()
            if phase is LeasePhase.CLAIMING:
                await world.until_phase(LeasePhase.REPORTED)
                world.voucher(7, final=True)
            await world.until_phase(phase)
        await world.restart()
        assert world.phase is phase
        world.start()  # repeated by the coordinator
        await world.until(lambda: world.starts == 1 or phase in PHASES[3:])
        await world.settle()
        nursery.cancel_scope.cancel()
    assert world.earnings.redeemed == [7]
    assert world.journal.inline.earnings() == Earned(1, 7)
    hashes = {event.number: event.hash() for event in world.all_sent(Event)}
    assert {event.hash() for event in world.all_sent(Event)} == set(hashes.values())
    assert len(hashes) == 3


async def test_a_job_that_ended_while_the_node_was_dead_is_metered_by_the_engine(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await world.crash()
    await trio.sleep(3_600)
    await world.restart()
    await world.until_phase(LeasePhase.REPORTED)
    assert (world.result().outcome, world.result().metered_ms) == (Outcome.COMPLETED, 5_000)


async def test_a_job_that_started_and_ended_before_it_was_known_to_run_is_not_run_again(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.start()
    await world.until(lambda: LEASE in world.sandbox.containers)
    await world.crash()
    assert world.saved().phase is LeasePhase.PREPARING
    container = world.sandbox.containers[LEASE]
    await trio.sleep(3_600)
    await world.restart()
    await world.until_phase(LeasePhase.REPORTED)
    assert container.starts == 1
    assert world.result().metered_ms == 5_000


async def test_a_container_that_vanished_while_the_node_was_dead_is_reported(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await world.crash()
    world.sandbox.containers.clear()
    await world.restart()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.ENGINE_LOST


@pytest.mark.parametrize("seed", range(40))
async def test_a_node_that_dies_again_and_again_wherever_it_is_does_everything_once(
    autojump_clock: MockClock, world: LeaseWorld, seed: int
) -> None:
    chance = random.Random(seed)
    deaths = 0

    def perhaps_die() -> None:
        nonlocal deaths
        if chance.random() < 0.2:
            deaths += 1
            world.die()

    world.journal.passed = world.sandbox.passed = perhaps_die
    container = None
    with trio.fail_after(3_600):
        while world.journal.inline.load():
            # A coordinator that repeats all it ever says, to a node that is started again.
            if world.is_dead:
                await world.restart()
            world.start()
            world.acknowledge(closed=not world.earnings.is_open)
            if world.phase in (LeasePhase.REPORTED, LeasePhase.CLAIMING):
                world.voucher(7, final=True)
            await trio.sleep(0.3)
            container = container or world.sandbox.containers.get(LEASE)
    assert deaths
    assert container is not None
    assert container.starts == 1
    assert world.earnings.redeemed == [7]
    assert world.journal.inline.earnings() == Earned(1, 7)
    events = {event.number: event for event in world.all_sent(Event)}
    assert all(event == events[event.number] for event in world.all_sent(Event))
    assert events[2].result is not None
    assert events[2].result.metered_ms == 5_000


async def test_a_reclaimed_job_has_its_window_however_often_the_node_dies(
    autojump_clock: MockClock, spot_world: LeaseWorld
) -> None:
    world = spot_world
    world.sandbox.runs_for_s = 300.0
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.reclaim()
    await world.until(lambda: world.saved().reclaimed_at_ms > 0)
    stops_at_ms = world.saved().stops_at_ms
    for _ in range(3):
        world.sandbox.warned.clear()
        await world.restart()
        await world.until(lambda: world.sandbox.warned == {LEASE: stops_at_ms})
        assert world.starts == 1
        world.runner.reclaim()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.now_ms() >= stops_at_ms
    assert world.result().outcome is Outcome.PREEMPTED
    kinds = {event.number: event.kind for event in world.all_sent(Event)}
    assert list(kinds.values()) == list(EventKind)


async def test_an_ordinary_job_is_not_reclaimed(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.reclaim()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.COMPLETED
    assert world.sandbox.warned == {}
