"""Vouchers, pauses and claims of a lease."""

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.execution import PAUSE_LIMIT_MS
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Meter
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.journal import Earned
from neurogrid_wallet.errors import RpcUnavailable
from node.fakes import FORGED_SIGNATURE
from node.lease_world import LeaseWorld
from node.market import LEASE


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
    assert world.journal.inline.earnings() == Earned(0, 0)


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
