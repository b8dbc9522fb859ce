"""The machine's clock is set while a lease runs: no limit, no price and no wait sees it."""

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.offer import LeasePhase
from node.lease_world import LeaseWorld

HOUR_MS = 3_600_000
STEPS_MS = pytest.mark.parametrize("step_ms", [6 * HOUR_MS, -6 * HOUR_MS, 20_000, -20_000])


@STEPS_MS
@pytest.mark.parametrize("node_dies", [False, True])
async def test_a_job_is_metered_by_what_passed(
    autojump_clock: MockClock, world: LeaseWorld, step_ms: int, node_dies: bool
) -> None:
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(20)
    if node_dies:
        await world.crash()
    world.set_ahead_ms += step_ms
    if node_dies:
        await world.restart()
    await trio.sleep(20)
    assert 39_000 < world.runner.status().metered_ms < 41_500
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.COMPLETED
    assert 59_900 <= world.result().metered_ms <= 60_600
    await world.settle()


@STEPS_MS
async def test_a_limit_comes_when_it_would_have_come(
    autojump_clock: MockClock, world: LeaseWorld, step_ms: int
) -> None:
    world.sandbox.runs_for_s = 7_200
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    began_s = trio.current_time()
    await trio.sleep(300)
    world.set_ahead_ms += step_ms
    await world.until_phase(LeasePhase.REPORTED)
    assert world.result().outcome is Outcome.TIME_EXCEEDED
    assert 599 <= trio.current_time() - began_s <= 603


@STEPS_MS
async def test_a_pause_is_charged_to_nobody(
    autojump_clock: MockClock, poor: LeaseWorld, step_ms: int
) -> None:
    poor.sandbox.runs_for_s = 15
    poor.start()
    await poor.until_phase(LeasePhase.PAUSED)
    await trio.sleep(50)
    poor.set_ahead_ms += step_ms
    await trio.sleep(50)
    poor.voucher(100_000)
    await poor.until_phase(LeasePhase.REPORTED)
    assert 14_900 <= poor.result().metered_ms <= 15_600


async def test_after_the_end_a_step_changes_no_figure(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.sandbox.collect_s = 30
    world.start()
    await world.until_phase(LeasePhase.COLLECTING)
    world.set_ahead_ms += 6 * HOUR_MS
    await world.until_phase(LeasePhase.REPORTED)
    assert 4_900 <= world.result().metered_ms <= 5_600


async def test_a_reboot_is_no_step(autojump_clock: MockClock, world: LeaseWorld) -> None:
    world.sandbox.runs_for_s = 60
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    await trio.sleep(20)
    await world.crash()
    # It ran on: only what the daemon sees of the boot is another one, hours later by its uptime.
    world.boot_id = "second"
    await world.restart()
    await world.until_phase(LeasePhase.REPORTED)
    assert 59_900 <= world.result().metered_ms <= 60_600
