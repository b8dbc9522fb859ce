"""The coordinator is gone for a day, the chain for an hour: what is owed is told and paid, once."""

import pytest
import trio
from trio.testing import MockClock

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import Event
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_node.journal import Earned
from neurogrid_node.lease import executor, log_sender
from node.lease_world import LeaseWorld
from node.market import LEASE

HOUR_S = 3_600


@pytest.fixture(autouse=True)
def rare_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day has 172,800 of the real ones."""
    for module, wait in ((executor, "TICK_S"), (log_sender, "RESEND_S"), (log_sender, "_LOOK_S")):
        monkeypatch.setattr(module, wait, 20.0)


async def gone(world: LeaseWorld, hours: int) -> None:
    """Nobody is connected, and the daemon dies now and then."""
    world.link.connected = False
    for hour in range(hours):
        await trio.sleep(HOUR_S)
        if hour % 5 == 0:
            await world.restart()


async def test_a_coordinator_that_is_back_within_a_day_hears_all_and_pays(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(5)
    world.link.connected = False
    world.sandbox.write_log(LEASE, "while you were away\n")
    await world.until_phase(LeasePhase.REPORTED)
    await gone(world, 23)
    assert world.phase is LeasePhase.REPORTED
    world.link.open()
    await trio.sleep(60)
    assert {event.number for event in world.all_sent(Event)} == {0, 1, 2}
    assert world.log_sent() == "while you were away\n"
    assert world.result().outcome is Outcome.COMPLETED
    await world.settle()
    assert world.earnings.redeemed == [7]
    assert world.journal.inline.earnings() == Earned(1, 7)


async def test_what_is_signed_is_redeemed_when_nobody_comes_back(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)
    world.voucher(5)
    await world.until_phase(LeasePhase.REPORTED)
    await gone(world, 26)
    assert world.earnings.redeemed == [5]
    # Its claim is told for another day.
    await gone(world, 26)
    assert world.journal.inline.load() == []
    assert world.journal.inline.earnings() == Earned(1, 5)


async def test_a_claim_waits_for_a_chain_that_is_gone_for_an_hour(
    autojump_clock: MockClock, world: LeaseWorld
) -> None:
    world.start()
    await world.until_phase(LeasePhase.REPORTED)
    world.earnings.takes_s = HOUR_S
    world.voucher(7, final=True)
    await trio.sleep(HOUR_S / 2)
    await world.restart()
    await trio.sleep(HOUR_S / 2)
    assert (world.phase, world.earnings.redeemed) == (LeasePhase.CLAIMING, [])
    await world.until(lambda: bool(world.lease.claim_transaction), HOUR_S)
    world.acknowledge(closed=True)
    await world.until(lambda: world.journal.inline.load() == [])
    assert world.journal.inline.earnings() == Earned(1, 7)
