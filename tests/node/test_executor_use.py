"""A lease for use with its runner: it has no container, is paid by what it passes on, and ends with its replica."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio

from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.messages import EventKind, Meter
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.units import UnitPrices, Units
from node.fakes import GOOD_SIGNATURE
from node.lease_world import LeaseWorld, lease_world
from node.market import COORDINATOR, award

REPLICA = "lease_" + "9" * 32
PRICES = UnitPrices(output_tokens=1_000_000)
USE = Use(REPLICA, "m", PRICES, max_cost_micro_usdc=1_000, idle_s=60)
JOB = Job("neurogrid/job:1", uses=REPLICA)


@asynccontextmanager
async def use_world(directory: Path, *, has_replica: bool = True) -> AsyncIterator[LeaseWorld]:
    """A lease for use whose replica runs."""
    async with lease_world(directory, job=JOB, use=USE) as world:
        made = accept(award("0" * 64, lease_id=REPLICA), COORDINATOR, 60_000, 1, serves="m")
        if has_replica:
            world.replica = replace(made, phase=LeasePhase.RUNNING)
        yield world


async def running(world: LeaseWorld) -> None:
    world.start()
    await world.until_phase(LeasePhase.RUNNING)


def serve(world: LeaseWorld, tokens: int) -> None:
    """A request was answered."""
    tally = world.uses.tally_of(world.lease)
    request = tally.begin()
    tally.passed(request, Units(output_tokens=tokens, requests=1))
    tally.end(request)


async def test_it_is_served_metered_paid_and_closed_without_a_container(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        serve(world, 30)
        await world.until(lambda: bool(world.all_sent(Meter)))
        (meter,) = world.all_sent(Meter)
        assert meter.cumulative_micro_usdc == 30
        assert meter.served == Units(output_tokens=30, requests=1)
        assert meter.metered_ms >= 10_000
        # What was served is saved with the meter.
        assert world.saved().served == meter.served
        world.voucher(30)
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().outcome is Outcome.COMPLETED
        assert world.result().served == meter.served
        assert world.result().message == "nothing was asked of it for 60 s"
        kinds = [event.kind for event in world.lease.events]
        assert kinds == [EventKind.PREPARING, EventKind.STARTED, EventKind.FINISHED]
        await world.settle()
        assert world.earnings.redeemed == [30]
        assert world.starts == 0


async def test_it_refuses_while_it_is_ahead_of_its_vouchers_and_asks_at_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        assert world.uses.refusal(world.lease) is None
        serve(world, 101)
        began_s = trio.current_time()
        assert world.uses.refusal(world.lease) is StreamRefusal.UNPAID
        assert world.uses.must_wait(world.lease.lease_id)
        await world.until(lambda: bool(world.all_sent(Meter)))
        assert trio.current_time() - began_s < 1.1
        world.voucher(50, signature="bad" * 40)
        world.voucher(50)
        await world.until(lambda: not world.uses.must_wait(world.lease.lease_id))
        assert world.uses.refusal(world.lease) is None
        serve(world, 900)
        assert world.uses.refusal(world.lease) is StreamRefusal.USED_UP
        assert GOOD_SIGNATURE


async def test_it_ends_well_with_its_replica_and_has_all_that_it_passed_on(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        serve(world, 7)
        world.replica = None
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().outcome is Outcome.COMPLETED
        assert world.result().message == "its replica has ended"
        assert world.result().served == Units(output_tokens=7, requests=1)


async def test_one_whose_replica_is_gone_before_it_begins_ends_well(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path, has_replica=False) as world:
        world.start()
        await world.until_phase(LeasePhase.REPORTED)
        assert (world.result().outcome, world.result().metered_ms) == (Outcome.COMPLETED, 0)


async def test_without_its_escrow_nothing_is_served(tmp_path: Path, autojump_clock: object) -> None:
    async with use_world(tmp_path) as world:
        world.earnings.is_open = False
        world.start()
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().outcome is Outcome.ESCROW_UNSEEN


async def test_a_stop_breaks_off_what_is_under_way(tmp_path: Path, autojump_clock: object) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        request = world.uses.tally_of(world.lease).begin()
        world.stop()
        with trio.fail_after(5):
            await world.uses.until_stopped(world.lease.lease_id)
        assert world.uses.refusal(world.lease) is StreamRefusal.NOT_RUNNING
        world.uses.tally_of(world.lease).passed(request, Units(output_tokens=2))
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().outcome is Outcome.CANCELLED
        assert world.result().served == Units(output_tokens=2)


async def test_a_killed_node_goes_on_with_what_it_saved(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        serve(world, 60)
        await world.until(lambda: bool(world.all_sent(Meter)))
        serve(world, 5)
        await world.restart()
        assert world.uses.tally_of(world.lease).units == Units(output_tokens=60, requests=1)
        serve(world, 10)
        world.voucher(60)
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().served == Units(output_tokens=70, requests=2)
        assert world.result().voucher_hash == "0" * 64
        assert world.lease.held_micro_usdc == 60


async def test_a_killed_node_takes_the_lease_up_again_before_its_replica(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        known, world.replica = world.replica, None
        await world.restart()
        await trio.sleep(3)
        world.replica = known
        await trio.sleep(30)
        assert world.phase is LeasePhase.RUNNING


async def test_another_coordinators_replica_is_none_of_its_own(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        assert world.replica is not None
        world.replica = replace(world.replica, coordinator="another")
        world.start()
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().message == "its replica had ended"


async def test_one_that_ends_takes_no_request_that_would_be_broken_off_at_once(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        seen: list[StreamRefusal | None] = []

        def look() -> None:
            # Somebody asks while its end is written to the disk; until then its lease is as it was.
            if world.phase is LeasePhase.RUNNING:
                seen.append(world.uses.refusal(world.lease))

        world.journal.passed = look
        await world.until_phase(LeasePhase.REPORTED)
        assert world.result().message == "nothing was asked of it for 60 s"
        assert seen[-2:] == [StreamRefusal.NOT_RUNNING] * 2


async def test_one_that_is_asked_at_the_very_end_does_not_end_for_being_idle(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with use_world(tmp_path) as world:
        await running(world)
        # Between the last look at what is under way and the one that would end it.
        ends_ms = world.lease.started_at_ms + USE.idle_s * 1000
        await trio.sleep((ends_ms - world.now_ms()) / 1000 - 0.01)
        tally = world.uses.tally_of(world.lease)
        request = tally.begin()
        await trio.sleep(30)
        assert world.phase is LeasePhase.RUNNING
        ended_s = trio.current_time()
        tally.end(request)
        await world.until_phase(LeasePhase.REPORTED)
        assert trio.current_time() - ended_s >= USE.idle_s


async def test_what_is_served_ahead_of_an_escrow_outlives_its_node(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with use_world(tmp_path) as world:
        serve(world, 40)
        await trio.sleep(1)
        assert world.saved().served == Units(output_tokens=40, requests=1)
        world.earnings.is_open = False
        await world.restart()
        world.start()
        await world.until_phase(LeasePhase.REPORTED)
        await world.until(lambda: bool(world.cleared))
        (lost,) = world.journal.inline.unpaid_use()
        assert (lost.coordinator, lost.micro_usdc) == (COORDINATOR, 40)
