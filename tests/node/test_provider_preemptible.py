"""Preemptible tasks: bid on for less, displaced after their window, reclaimed by the owner."""

from dataclasses import replace
from typing import cast

from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.serving import Use
from neurogrid_marketplace.spot import SpotTerms
from neurogrid_marketplace.units import UnitPrices
from neurogrid_node.lease.executor import LeaseRunner
from neurogrid_node.market.reclaiming import ALL
from neurogrid_node.market.start_history import DEFAULT_READY_MS
from node.market import (
    COORDINATOR,
    NEED,
    OFFER,
    POLICY,
    TOTAL,
    award,
    demand,
)
from node.seller import PUBLIC_KEY, HeardRunner, Seller

SPOT = SpotTerms(discount_permille=500, reclaim_window_s=120)
SPOT_LEASE = "lease_" + "5" * 32
ALL_OF_IT = replace(NEED, cpu_millis=4000)


def selling_spot(seller: Seller, *, displaces: bool = True) -> Seller:
    seller.policy = replace(POLICY, spot=SPOT, displaces=displaces)
    seller.provider = seller.make(seller.journal)
    seller.provider.offer = replace(OFFER, spot=SPOT)
    seller.provider.accepting = True
    return seller


async def with_spot_lease(seller: Seller) -> HeardRunner:
    wanted = demand(demand_id="demand_" + "5" * 32, preemptible=True, requirements=ALL_OF_IT)
    won = award(await seller.bid_hash(wanted), wanted, lease_id=SPOT_LEASE)
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]
    return seller.runners[-1]


async def test_a_preemptible_task_is_bid_on_for_less_and_with_a_window(seller: Seller) -> None:
    (ordinary,) = await selling_spot(seller).say(demand(demand_id="demand_" + "6" * 32))
    (reply,) = await seller.say(demand(preemptible=True))
    assert isinstance(ordinary, Bid)
    assert isinstance(reply, Bid)
    assert (ordinary.reclaim_window_s, reply.reclaim_window_s) == (0, 120)
    assert reply.price_micro_usdc_per_hour * 2 == ordinary.price_micro_usdc_per_hour


async def test_without_spot_a_preemptible_task_is_taken_as_any_other(seller: Seller) -> None:
    (ordinary,) = await seller.say(demand(demand_id="demand_" + "6" * 32))
    (reply,) = await seller.say(demand(preemptible=True))
    assert isinstance(ordinary, Bid)
    assert isinstance(reply, Bid)
    assert reply.reclaim_window_s == 0
    assert reply.price_micro_usdc_per_hour == ordinary.price_micro_usdc_per_hour


async def test_an_ordinary_task_takes_a_preemptible_ones_place_after_its_window(
    seller: Seller,
) -> None:
    runner = await with_spot_lease(selling_spot(seller))
    assert runner.lease.reclaim_window_s == 120
    (reply,) = await seller.say(demand())
    assert isinstance(reply, Bid)
    assert reply.start_ms >= 120_000 + DEFAULT_READY_MS
    assert not runner.reclaimed, "a bid alone displaces nobody"
    won = award(seller.link.envelopes[-1].hash())
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]
    assert runner.reclaimed
    assert not seller.provider.displacing.make_room(won.lease_id)
    # What the journal has is enough to go on.
    assert {held.instead_of for _, held in seller.journal.inline.load()} == {(), (SPOT_LEASE,)}
    seller.provider.cleared(SPOT_LEASE)
    assert seller.provider.displacing.make_room(won.lease_id)
    assert seller.book.free(seller.now_ms).cpu_millis == 3000


async def test_a_lease_is_displaced_for_one_other_at_a_time(seller: Seller) -> None:
    await with_spot_lease(selling_spot(seller))
    assert isinstance((await seller.say(demand()))[0], Bid)
    (reply,) = await seller.say(demand(demand_id="demand_" + "6" * 32))
    assert isinstance(reply, Decline)
    assert reply.code is DeclineCode.BUSY


async def test_only_ordinary_tasks_displace_and_only_where_the_owner_lets_them(
    seller: Seller,
) -> None:
    await with_spot_lease(selling_spot(seller))
    (reply,) = await seller.say(demand(preemptible=True))
    assert isinstance(reply, Decline)
    seller.policy = replace(seller.policy, displaces=False)
    runners = seller.provider.runners
    seller.provider = seller.make(seller.journal)
    seller.provider.runners = runners
    seller.provider.accepting = True
    (reply,) = await seller.say(demand())
    assert isinstance(reply, Decline)
    assert seller.provider.heartbeat(COORDINATOR).reclaimable is None


async def test_a_replica_that_is_being_asked_is_displaced_by_nobody(seller: Seller) -> None:
    replica = await with_spot_lease(selling_spot(seller))
    use = Use(SPOT_LEASE, "bard-1m", UnitPrices(output_tokens=1), 1000, 60)
    asking = HeardRunner(replace(replica.lease, lease_id="lease_" + "6" * 32, use=use, at_work=1))
    seller.provider.runners[asking.lease.lease_id] = cast(LeaseRunner, asking)
    (reply,) = await seller.say(demand())
    assert isinstance(reply, Decline)
    assert seller.provider.heartbeat(COORDINATOR).reclaimable is None
    asking.lease = replace(asking.lease, at_work=0)
    (reply,) = await seller.say(demand(demand_id="demand_" + "6" * 32))
    assert isinstance(reply, Bid)


async def test_what_could_be_reclaimed_is_told(seller: Seller) -> None:
    await with_spot_lease(selling_spot(seller))
    beat = seller.provider.heartbeat(COORDINATOR)
    assert beat.free.cpu_millis == 0
    assert beat.reclaimable == seller.provider.hello(COORDINATOR).offer.reclaimable == TOTAL


async def test_the_owner_reclaims_one_lease_or_all_that_may_be(seller: Seller) -> None:
    runner = await with_spot_lease(selling_spot(seller))
    assert seller.provider.displacing.reclaim("lease_" + "9" * 32) == ()
    assert seller.provider.displacing.reclaim(SPOT_LEASE) == (SPOT_LEASE,)
    assert runner.reclaimed
    runner.lease = replace(runner.lease, reclaimed_at_ms=seller.now_ms)
    assert seller.provider.displacing.reclaim(SPOT_LEASE) == (), "it is under way"
    assert seller.provider.displacing.reclaim(ALL) == ()
