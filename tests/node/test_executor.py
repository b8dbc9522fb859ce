import logging
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from neurogrid_marketplace.execution import PAUSE_LIMIT_MS
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.lease import StopReceived, Stored
from neurogrid_marketplace.messages import Claimed, Event, EventKind, Log, Meter
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.container_errors import EngineLost, EngineUnavailable
from neurogrid_node.journal import Earnings, Journal, JournalError
from neurogrid_node.lease_work import ENGINE_PATIENCE_S, PREPARE_LIMIT_MS
from neurogrid_node.log_sender import WINDOW_BYTES
from neurogrid_node.preparation import PrepareError
from neurogrid_node.workspace import DiskError
from neurogrid_wallet.errors import RpcUnavailable
from node.fakes import FORGED_SIGNATURE
from node.lease_world import LeaseWorld, lease_world
from node.market import JOB, LEASE, changed

PHASES = (
    LeasePhase.ACCEPTED,
    LeasePhase.PREPARING,
    LeasePhase.RUNNING,
    LeasePhase.COLLECTING,
    LeasePhase.REPORTED,
    LeasePhase.CLAIMING,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    async with lease_world(tmp_path) as made:
        yield made


@pytest.fixture
async def poor(tmp_path: Path) -> AsyncIterator[LeaseWorld]:
    """A lease whose node is never more than ten seconds of work ahead."""
    async with lease_world(tmp_path, max_unpaid_ms=10_000) as made:
        yield made


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
    assert world.journal.inline.earnings() == Earnings(1, 7)
    assert world.journal.inline.load() == []
    assert world.sandbox.forgotten == world.earnings.forgotten == world.forgotten == [LEASE]
    assert world.started_in == [300]
    kinds = {event.number: event.kind for event in world.all_sent(Event)}
    assert list(kinds.values()) == list(EventKind)
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
    assert world.journal.inline.earnings() == Earnings(1, 7)
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
    assert world.journal.inline.earnings() == Earnings(1, 7)
    events = {event.number: event for event in world.all_sent(Event)}
    assert all(event == events[event.number] for event in world.all_sent(Event))
    assert events[2].result is not None
    assert events[2].result.metered_ms == 5_000


# --- money ------------------------------------------------------------------------------------


async def test_unpaid_work_is_paused_and_goes_on_when_a_voucher_comes(
    autojump_clock: MockClock, poor: LeaseWorld
) -> None:
    poor.sandbox.runs_for_s = 15
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    container = poor.sandbox.containers[LEASE]
    await poor.until(lambda: container.state == "paused")
    await trio.sleep(100)
    assert poor.phase is LeasePhase.PAUSED
    asked = poor.all_sent(Meter)[-1]
    # While it waits it asks again, but not at every tick.
    assert 20 < len(poor.all_sent(Meter)) < 40
    poor.voucher(asked.cumulative_micro_usdc)
    await poor.until(lambda: container.state == "running")
    await poor.until_phase(LeasePhase.REPORTED)
    assert poor.result().outcome is Outcome.COMPLETED
    # The pause is not charged.
    assert 14_900 <= poor.result().metered_ms <= 15_600


async def test_vouchers_that_come_in_time_keep_it_running(
    autojump_clock: MockClock, poor: LeaseWorld
) -> None:
    poor.sandbox.runs_for_s = 60
    poor.start()
    async with trio.open_nursery() as nursery:

        async def pay() -> None:
            while True:
                await trio.sleep(0.2)
                if meters := poor.all_sent(Meter):
                    poor.voucher(meters[-1].cumulative_micro_usdc)

        nursery.start_soon(pay)
        await poor.until_phase(LeasePhase.REPORTED)
        nursery.cancel_scope.cancel()
    assert poor.result().outcome is Outcome.COMPLETED
    assert "pause" not in poor.sandbox.calls


async def test_a_lease_that_nobody_pays_for_is_stopped_in_the_end(
    autojump_clock: MockClock, poor: LeaseWorld
) -> None:
    poor.sandbox.runs_for_s = 600
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    await trio.sleep(PAUSE_LIMIT_MS / 1000 + 10)
    await poor.until_phase(LeasePhase.REPORTED)
    assert poor.result().outcome is Outcome.EXPOSURE_EXHAUSTED
    await poor.until(lambda: poor.sandbox.containers == {})


async def test_a_pause_and_a_resume_that_the_engine_refuses_are_made_up_for(
    autojump_clock: MockClock,
    poor: LeaseWorld,
) -> None:
    away = [EngineUnavailable("restarting")] * 3
    poor.sandbox.failures = {"pause": list(away), "resume": list(away)}
    poor.sandbox.runs_for_s = 30
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    container = poor.sandbox.containers[LEASE]
    await poor.until(lambda: container.state == "paused")
    poor.voucher(100_000)
    await poor.until_phase(LeasePhase.RUNNING)
    await poor.until(lambda: container.state == "running", 10)
    assert poor.sandbox.failures == {"pause": [], "resume": []}


async def test_a_resume_during_a_pause_is_not_forgotten(
    autojump_clock: MockClock, poor: LeaseWorld
) -> None:
    # The pause hangs in the engine when the voucher comes.
    poor.sandbox.failures["pause"] = [EngineUnavailable("busy")] * 20
    poor.sandbox.runs_for_s = 60
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    poor.voucher(100_000)
    await poor.until_phase(LeasePhase.RUNNING)
    await trio.sleep(15)
    assert poor.sandbox.containers[LEASE].state == "running"


async def test_vouchers_that_the_chain_would_not_pay_are_not_taken(
    autojump_clock: MockClock, poor: LeaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    poor.sandbox.runs_for_s = 600
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    for _ in range(50):
        poor.voucher(1_000, signature=FORGED_SIGNATURE)
        await trio.sleep(0.1)
    poor.voucher(10**9)
    await trio.sleep(1)
    assert poor.phase is LeasePhase.PAUSED
    assert poor.lease.voucher is None
    refusals = [record.message for record in caplog.records if "voucher signer" in record.message]
    assert len(refusals) == 1


async def test_a_voucher_before_the_start_is_not_taken(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.voucher(5)
    await trio.sleep(1)
    assert world.lease.voucher is None
    assert world.phase is LeasePhase.ACCEPTED


async def test_an_unsigned_final_voucher_of_nothing_cannot_replace_a_good_one(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(5)
    await world.until_phase(LeasePhase.REPORTED)
    world.voucher(0, final=True, signature=FORGED_SIGNATURE)
    await world.until(lambda: bool(world.earnings.redeemed))
    assert world.earnings.redeemed == [5]


async def test_closed_without_payment_still_redeems_what_is_held(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(5)
    await world.until_phase(LeasePhase.REPORTED)
    world.acknowledge(closed=True)
    await world.until(lambda: bool(world.earnings.redeemed))
    assert world.earnings.redeemed == [5]
    world.acknowledge(closed=True)
    await world.until(lambda: bool(world.forgotten))


async def test_a_chain_that_is_away_delays_the_claim_and_nothing_is_claimed_twice(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.earnings.takes_s = 500
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    world.voucher(7, final=True)
    await world.until_phase(LeasePhase.CLAIMING)
    for _ in range(5):
        world.voucher(7, final=True)
        world.acknowledge(closed=True)
        await trio.sleep(20)
    assert world.phase is LeasePhase.CLAIMING
    await world.until(lambda: bool(world.lease.claim_transaction), 10_000)
    assert world.earnings.redeemed == [7]


async def test_an_escrow_that_somebody_else_closed_ends_the_lease(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(5)
    await world.until_phase(LeasePhase.REPORTED)
    world.earnings.is_open = False
    world.voucher(7, final=True)
    await world.until(lambda: bool(world.forgotten))
    assert world.journal.inline.earnings() == Earnings(0, 0)


async def test_a_chain_that_is_away_makes_a_voucher_wait(
    autojump_clock: MockClock, poor: LeaseWorld
) -> None:
    poor.sandbox.runs_for_s = 600
    poor.earnings.away = RpcUnavailable("getAccountInfo", "ConnectError")
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    poor.voucher(100_000)
    await trio.sleep(5)
    assert poor.phase is LeasePhase.PAUSED
    poor.earnings.away = None
    poor.voucher(100_000)
    await poor.until_phase(LeasePhase.RUNNING)


# --- stopping ---------------------------------------------------------------------------------


async def test_a_stop_ends_the_running_job(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(2)
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.CANCELLED
    assert 1_900 <= world.result().metered_ms <= 2_200


@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.5, 0.55, 0.6])
async def test_a_stop_while_preparing_leaves_nothing_running(
    autojump_clock: MockClock, world: LeaseWorld, after_s: float
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.PREPARING)
    await trio.sleep(after_s)
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.CANCELLED
    await trio.sleep(10)
    assert world.sandbox.containers == {}


async def test_a_container_that_is_made_while_preparing_is_cancelled_is_ended_too(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    # As the engine does: what it was asked to start starts, whoever has stopped waiting for it.
    prepare = world.sandbox.prepare

    async def carried_through(*arguments: object, **options: object) -> object:
        with trio.CancelScope(shield=True):
            made = await prepare(*arguments, **options)  # type: ignore[arg-type]  # passed on
        await trio.lowlevel.checkpoint()
        return made

    world.sandbox.prepare = carried_through  # type: ignore[assignment,method-assign]  # slower
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.PREPARING)
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.CANCELLED
    assert world.sandbox.calls[0] == "prepare"
    await world.until(lambda: world.sandbox.containers == {})


async def test_a_stop_that_the_engine_refuses_is_repeated_even_without_a_coordinator(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.sandbox.failures["stop"] = [EngineUnavailable("restarting")] * 10
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    world.link.connected = False
    await world.until_phase(LeasePhase.REPORTED, 60)


async def test_kill_9_while_stopping(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.failures["stop"] = [EngineUnavailable("restarting")] * 4
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.offer(StopReceived(Outcome.CANCELLED))
    await world.until_phase(LeasePhase.STOPPING)
    await world.restart()
    assert world.phase is LeasePhase.STOPPING
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.CANCELLED


async def test_kill_9_while_paused(autojump_clock: MockClock, poor: LeaseWorld) -> None:
    poor.sandbox.runs_for_s = 30
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    await poor.restart()
    await trio.sleep(60)
    assert poor.phase is LeasePhase.PAUSED
    assert poor.sandbox.containers[LEASE].state == "paused"
    poor.voucher(100_000)
    await poor.until_phase(LeasePhase.REPORTED)
    assert 29_000 <= poor.result().metered_ms <= 31_000


async def test_the_time_limit_stops_the_job(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.runs_for_s = 10**6
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.TIME_EXCEEDED
    assert 600_000 <= world.result().metered_ms <= 602_000


# --- what goes wrong --------------------------------------------------------------------------


async def test_a_start_with_another_job_is_not_run(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start(job=changed(JOB, command=("mine", "coins")))
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.CANCELLED
    assert "prepare" not in world.sandbox.calls


async def test_what_stands_in_the_way_of_a_start_is_reported(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.failures["prepare"] = [PrepareError(Outcome.IMAGE_NOT_FOUND, "no such image")]
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    result = world.result()
    assert (result.outcome, result.message) == (Outcome.IMAGE_NOT_FOUND, "no such image")
    assert result.metered_ms == 0


async def test_a_preparation_that_never_ends_is_given_up(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.prepare_s = 10**6
    world.start()
    await world.until_phase(LeasePhase.PREPARING)
    await trio.sleep(PREPARE_LIMIT_MS / 2000)
    await world.restart()  # which does not start the clock anew
    await trio.sleep(PREPARE_LIMIT_MS / 2000)
    await world.until_phase(LeasePhase.REPORTED, 10)
    assert world.result().outcome is Outcome.START_FAILED


async def test_a_defect_while_preparing_is_logged_with_the_lease_and_reported(
    autojump_clock: MockClock, world: LeaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.sandbox.failures["prepare"] = [ZeroDivisionError("a defect")]
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.START_FAILED
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert LEASE in record.message
    assert record.exc_info is not None


@pytest.mark.parametrize("operation", ["watch", "stop", "collect", "clear", "forget"])
async def test_a_defect_elsewhere_is_logged_and_tried_again(
    autojump_clock: MockClock, world: LeaseWorld, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    world.sandbox.failures[operation] = [ZeroDivisionError("a defect")] * 2
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    if operation == "stop":
        world.sandbox.containers[LEASE].left_s = 10**6
        world.runner.offer(StopReceived(Outcome.CANCELLED))
    await world.settle()
    assert world.earnings.redeemed == [7]
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 2
    assert all(LEASE in record.message for record in errors)


async def test_a_defect_that_stays_while_collecting_is_reported(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.failures["collect"] = [ZeroDivisionError("a defect")] * 100
    world.start()
    await world.until_phase(LeasePhase.REPORTED, 60)
    assert world.result().outcome is Outcome.RESULT_INVALID


async def test_a_journal_that_cannot_be_written_stops_only_what_is_not_saved(
    autojump_clock: MockClock, world: LeaseWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    broken = [True]
    call = world.journal.call

    async def failing(use: object, *arguments: object) -> object:
        if broken[0] and use is Journal.save:
            raise JournalError("the disk is full")
        return await call(use, *arguments)  # type: ignore[arg-type]  # passed on

    world.journal.call = failing  # type: ignore[assignment,method-assign]  # a full disk
    await trio.sleep(60)
    # It ended, which could not be saved: so nothing was reported of it.
    assert world.phase is LeasePhase.RUNNING
    assert [event.kind for event in world.all_sent(Event)][-1] is EventKind.STARTED
    broken[0] = False
    await world.until_phase(LeasePhase.REPORTED, 200)
    assert (world.result().outcome, world.result().metered_ms) == (Outcome.COMPLETED, 5_000)
    assert "starts over from what is saved" in caplog.text


async def test_an_engine_that_is_away_for_a_while_loses_nothing(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.failures["watch"] = [EngineLost("away")] * 200  # 100 s
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    assert (world.result().outcome, world.result().metered_ms) == (Outcome.COMPLETED, 5_000)


async def test_an_engine_that_stays_away_is_reported_and_its_container_removed_later(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    many = 10**5
    world.sandbox.failures = {
        "watch": [EngineLost("away")] * many,
        "clear": [EngineLost("away")] * 10,
    }
    world.sandbox.runs_for_s = 10**6
    world.start()
    await world.until_phase(LeasePhase.REPORTED, ENGINE_PATIENCE_S + 10)
    assert world.result().outcome is Outcome.ENGINE_LOST
    # The resources stay promised while the container may be running.
    assert world.cleared == []
    await world.until(lambda: world.cleared == [LEASE], 60)
    assert world.sandbox.containers == {}


async def test_files_that_cannot_be_removed_keep_their_room(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.failures["clear"] = [DiskError("unmount_failed", "busy"), OSError("io")]
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    await trio.sleep(1)
    assert world.cleared == []
    await world.until(lambda: world.cleared == [LEASE], 20)


# --- telling the coordinator ------------------------------------------------------------------


async def test_events_are_sent_until_they_are_acknowledged(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(20)
    numbers = [event.number for event in world.all_sent(Event)]
    assert numbers.count(0) > 5
    world.acknowledge()
    await trio.sleep(1)
    world.link.taken()
    await trio.sleep(30)
    assert all(event.number == 2 for event in world.all_sent(Event))


async def test_nothing_is_sent_into_a_void_and_all_of_it_after_the_return(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.link.connected = False
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, "while you were away\n")
    await world.until_phase(LeasePhase.REPORTED)
    assert world.link.sent == []
    world.link.connected = True
    world.runner.reconnected()
    await trio.sleep(1)
    assert [event.number for event in world.all_sent(Event)] == [0, 1, 2]
    assert world.log_sent() == "while you were away\n"


async def test_a_claim_is_told_until_the_lease_is_closed(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    world.acknowledge()
    world.voucher(7, final=True)
    await world.until(lambda: bool(world.lease.claim_transaction))
    await trio.sleep(30)
    assert len(world.all_sent(Claimed)) > 5
    assert world.earnings.redeemed == [7]


async def test_the_log_arrives_whole_over_any_number_of_connections(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    text = "".join(f"line {number} ü\n" for number in range(30_000))
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.acknowledge_always)
        for start in range(0, len(text), 50_000):
            world.sandbox.write_log(LEASE, text[start : start + 50_000])
            await trio.sleep(0.01)
            world.link.connected = start % 100_000 != 0
            await trio.sleep(0.2)
            if not world.link.connected:
                world.link.connected = True
                world.runner.reconnected()
        await world.until_phase(LeasePhase.REPORTED)
        assert world.log_sent() == text
        assert world.result().logs_bytes == len(text.encode())
        nursery.cancel_scope.cancel()


async def test_log_pieces_that_are_lost_are_sent_again(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    text = "x" * 1000
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, text)
    await trio.sleep(0.5)
    assert world.log_sent() == text
    # The coordinator was too busy to store it, and says so.
    world.link.taken()
    world.runner.offer(Stored(2, 0, closed=False))
    await trio.sleep(10)
    assert world.log_sent() == text


async def test_a_window_of_log_waits_for_acknowledgement(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.sandbox.write_log(LEASE, "x" * 10 * WINDOW_BYTES)
    await trio.sleep(2)
    sent = sum(len(piece.text) for piece in world.all_sent(Log))
    assert WINDOW_BYTES <= sent < WINDOW_BYTES + 24 * 1024


async def test_log_acknowledgements_are_not_journaled_one_by_one(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.acknowledge()
    await trio.sleep(1)
    saved = world.saved()
    for stored in range(100):
        world.runner.offer(Stored(2, stored, closed=False))
    await trio.sleep(1)
    assert world.lease.log_bytes_stored == 99
    assert world.saved() == saved
    assert replace(world.lease, log_bytes_stored=saved.log_bytes_stored) == saved


async def test_a_flood_of_messages_does_not_drop_what_a_step_found(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(4.9)
    with trio.move_on_after(1):
        while world.phase is not LeasePhase.REPORTED:
            for _ in range(300):
                world.runner.offer(Stored(0, 0, closed=False))
            await trio.sleep(0.005)
    assert world.phase is LeasePhase.REPORTED


async def test_nonsense_acknowledgements_hurt_nobody(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 10
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.runner.offer(Stored(10**9, 2**53 - 1, closed=False))
    world.sandbox.write_log(LEASE, "hello\n")
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().logs_bytes == 6
    assert world.lease.events_stored <= 3


async def test_progress_asks_for_a_heartbeat_once_a_second_at_most(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    before = world.link.beats
    for number in range(100):
        world.sandbox.write_log(LEASE, f"NEUROGRID_PROGRESS 0.{number:02} {number}\n")
        await trio.sleep(0.1)
    assert 8 <= world.link.beats - before <= 11
    status = world.runner.status()
    assert (status.progress_permille, status.note) == (990, "99")
    assert status.phase is LeasePhase.RUNNING
