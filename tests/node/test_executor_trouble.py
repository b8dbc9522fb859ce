"""Leases that are stopped, and what goes wrong with the others."""

import logging

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Event, EventKind
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.container.errors import EngineLost, EngineUnavailable
from neurogrid_node.files.workspace import DiskError
from neurogrid_node.journal import Journal, JournalError
from neurogrid_node.lease.preparation import PrepareError
from neurogrid_node.lease.work import ENGINE_PATIENCE_S, PREPARE_LIMIT_MS
from node.lease_world import LeaseWorld
from node.market import JOB, LEASE, changed


async def test_a_stop_ends_the_running_job(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(2)
    world.stop()
    world.stop()
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
    world.stop()
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
    world.stop()
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
    world.stop()
    world.link.connected = False
    await world.until_phase(LeasePhase.REPORTED, 60)


async def test_kill_9_while_stopping(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.failures["stop"] = [EngineUnavailable("restarting")] * 4
    world.sandbox.runs_for_s = 600
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.stop()
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
        world.stop()
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


async def test_a_container_that_vanished_without_a_word_is_found_lost_when_looked_at_again(
    autojump_clock: MockClock,
    world: LeaseWorld,
) -> None:
    world.sandbox.runs_for_s = 10**6
    world.runner.look_again()
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await world.until(lambda: "watch" in world.sandbox.calls)
    world.voucher(5)
    await world.until(lambda: world.lease.voucher is not None)
    world.sandbox.containers.clear()
    world.runner.look_again()
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.ENGINE_LOST
    await world.settle()
    assert world.earnings.redeemed == [0]


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
