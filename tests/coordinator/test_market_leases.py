from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from coordinator.market_nodes import FakeNode, award, demand
from coordinator.test_market_auctioneer import sealed
from neurogrid_coordinator.market.leases import Leases
from neurogrid_coordinator.market.reports import AwardReport
from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Accept, Award, Deny
from neurogrid_marketplace.orchestration import AWARD_ANSWER_MS
from neurogrid_p2p.errors import ChannelClosed

TERMS = award(demand(), "0" * 64)
NODE = FakeNode()


async def offered(reaction: Callable[[Leases], Awaitable[None]]) -> tuple[Leases, AwardReport]:
    """Award ``TERMS`` to ``NODE``, which reacts as the test says."""
    sent: list[Award] = []

    async def send(node_id: str, message: Award) -> Envelope:
        assert node_id == NODE.node_id
        sent.append(message)
        return sealed(NODE, message)

    leases = Leases(send)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(reaction, leases)
        report = await leases.award(NODE.node_id, TERMS)
    assert sent == [TERMS]
    return leases, report


async def answer(leases: Leases, message: Accept | Deny) -> bool:
    await trio.sleep(0.01)
    return leases.answer_received(NODE.node_id, sealed(NODE, message), message)


async def test_an_accept_of_these_terms_is_an_agreement(
    autojump_clock: trio.testing.MockClock,
) -> None:
    accept = Accept(TERMS.lease_id, TERMS.hash())

    async def accepting(leases: Leases) -> None:
        assert await answer(leases, accept)

    _, report = await offered(accepting)
    assert report.accepted
    assert report.code == "accepted"
    assert report.answer == sealed(NODE, accept)
    assert report.award == sealed(NODE, TERMS)


async def test_a_deny_gives_its_code(autojump_clock: trio.testing.MockClock) -> None:
    async def denying(leases: Leases) -> None:
        await answer(leases, Deny(TERMS.lease_id, DeclineCode.RESERVATION_EXPIRED))

    _, report = await offered(denying)
    assert (report.accepted, report.code) == (False, "reservation_expired")
    assert report.answer is not None


async def test_an_accept_of_other_terms_is_none(autojump_clock: trio.testing.MockClock) -> None:
    async def confused(leases: Leases) -> None:
        await answer(leases, Accept(TERMS.lease_id, "f" * 64))

    _, report = await offered(confused)
    assert (report.accepted, report.code) == (False, "bad_answer")


async def test_silence_is_waited_out_and_a_late_answer_is_for_somebody_else(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def silent(leases: Leases) -> None:
        await answer(leases, Deny("lease_" + "f" * 32, DeclineCode.BUSY))

    started = trio.current_time()
    leases, report = await offered(silent)
    assert trio.current_time() - started == pytest.approx(AWARD_ANSWER_MS / 1000)
    assert (report.accepted, report.code, report.answer) == (False, "no_answer", None)
    assert not await answer(leases, Accept(TERMS.lease_id, TERMS.hash()))


async def test_who_leaves_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    async def leaving(leases: Leases) -> None:
        await trio.sleep(0.01)
        leases.node_left(NODE.node_id)

    started = trio.current_time()
    _, report = await offered(leaving)
    assert trio.current_time() - started == pytest.approx(0.01)
    assert (report.accepted, report.code) == (False, "unreachable")
    assert report.award is not None


async def test_who_is_not_connected_is_unreachable() -> None:
    async def send(node_id: str, message: Award) -> Envelope:
        raise ChannelClosed("not connected")

    report = await Leases(send).award(NODE.node_id, TERMS)
    assert report == AwardReport(None, None, accepted=False, code="unreachable")
