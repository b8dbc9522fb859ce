"""Several coordinators at once: none touches what is another's."""

import pytest

from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import (
    Accept,
    Acknowledge,
    Deny,
    Message,
    Pulse,
    Stop,
    VoucherMessage,
    Welcome,
)
from node.market import (
    COORDINATOR,
    LEASE,
    award,
    demand,
    start,
)
from node.seller import OTHER, PUBLIC_KEY, Seller, code_of


async def test_another_coordinators_demand_cannot_be_awarded(seller: Seller) -> None:
    won = award(await seller.bid_hash())
    assert code_of(await seller.say(won, seller.other)) is DeclineCode.RESERVATION_EXPIRED
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_another_coordinators_lease_cannot_be_taken_over(seller: Seller) -> None:
    won = await seller.take()
    mine = demand(demand_id="demand_" + "2" * 32)
    theirs = award(await seller.bid_hash(mine, seller.other), mine)
    assert theirs.lease_id == won.lease_id
    assert code_of(await seller.say(theirs, seller.other)) is DeclineCode.BUSY
    assert seller.provider.runners[LEASE].lease.coordinator == COORDINATOR
    assert len(seller.journal.inline.load()) == 1


async def test_a_demand_named_like_a_lease_frees_nothing(seller: Seller) -> None:
    await seller.take()
    await seller.say(demand(demand_id=LEASE), seller.other)
    seller.now_ms += 60_000
    assert seller.book.free(seller.now_ms).cpu_millis == 3000


@pytest.mark.parametrize(
    "message",
    [
        Pulse(1),
        Welcome("s", "x/1"),
        Accept(LEASE, "0" * 64),
        Deny(LEASE, DeclineCode.BUSY),
        start(),
        Stop(LEASE, Outcome.CANCELLED),
        VoucherMessage(LEASE, 1, "0" * 128, final=True),
        Acknowledge(LEASE, 9, 9, closed=True),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_messages_that_no_coordinator_sends_on_its_control_stream_do_nothing(
    seller: Seller, message: Message
) -> None:
    await seller.take()
    assert await seller.say(message) == []
    assert seller.runners[0].heard == []


async def test_hello_and_heartbeats_name_free_resources_and_the_coordinators_own_leases(
    seller: Seller,
) -> None:
    await seller.take()
    hello = seller.provider.hello(COORDINATOR)
    assert hello.offer.free.cpu_millis == 3000
    assert hello.offer.accepting
    assert [status.lease_id for status in hello.leases] == [LEASE]
    assert seller.provider.hello(OTHER).leases == ()
    assert seller.provider.heartbeat(COORDINATOR).leases == hello.leases
    assert seller.provider.heartbeat(OTHER).leases == ()
