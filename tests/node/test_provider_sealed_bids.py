"""Bids under seal: a commitment first, the bid to a list that has it, once."""

import pytest

from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS, Commit, Reveal, commitment
from neurogrid_node.market.bidder import BID_VALID_MS
from node.market import (
    COORDINATOR,
    DEMAND,
    NODE,
    award,
    demand,
)
from node.seller import PUBLIC_KEY, Seller, code_of


async def commit_to(seller: Seller, asked: Demand) -> Commit:
    (sealed,) = await seller.say(asked)
    assert isinstance(sealed, Commit), sealed
    return sealed


async def test_a_sealed_demand_gets_a_commitment_and_its_list_the_bid(seller: Seller) -> None:
    asked = demand(sealed_bids=True)
    sealed = await commit_to(seller, asked)
    assert (sealed.demand_id, sealed.demand_hash) == (DEMAND, asked.hash())
    # What it needs is held from now on, for the reveal too.
    assert seller.book.free(seller.now_ms).cpu_millis == 3000
    seller.now_ms += asked.bid_window_ms + BID_VALID_MS + REVEAL_LIMIT_MS - 1
    assert seller.book.free(seller.now_ms).cpu_millis == 3000
    listed = Reveal(DEMAND, {NODE: sealed.commitment})
    (bid,) = await seller.say(listed)
    assert isinstance(bid, Bid)
    assert commitment(NODE, bid) == sealed.commitment
    assert len(bid.nonce) == 64
    won = award(seller.link.envelopes[-1].hash(), asked, reveal_hash=listed.hash())
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_no_two_commitments_are_alike(seller: Seller) -> None:
    other = demand(sealed_bids=True, demand_id="demand_" + "2" * 32)
    first = await commit_to(seller, demand(sealed_bids=True))
    second = await commit_to(seller, other)
    assert first.commitment != second.commitment
    # The same demand again is the same bid: a lost answer.
    assert await commit_to(seller, other) == second


async def test_a_bid_is_not_shown_to_a_list_without_it(seller: Seller) -> None:
    sealed = await commit_to(seller, demand(sealed_bids=True))
    assert await seller.say(Reveal(DEMAND, {})) == []
    assert await seller.say(Reveal(DEMAND, {NODE: "1" * 64})) == []
    assert await seller.say(Reveal("demand_" + "9" * 32, {NODE: sealed.commitment})) == []
    assert await seller.say(Reveal(DEMAND, {NODE: sealed.commitment}), seller.other) == []
    (bid,) = await seller.say(Reveal(DEMAND, {NODE: sealed.commitment}))
    assert isinstance(bid, Bid)


async def test_a_bid_is_not_shown_under_two_lists(
    seller: Seller, caplog: pytest.LogCaptureFixture
) -> None:
    sealed = await commit_to(seller, demand(sealed_bids=True))
    first = Reveal(DEMAND, {NODE: sealed.commitment})
    assert len(await seller.say(first)) == 1
    assert len(await seller.say(first)) == 1  # asked again: the answer was lost
    assert await seller.say(Reveal(DEMAND, {NODE: sealed.commitment, COORDINATOR: "1" * 64})) == []
    assert "the coordinator lies" in caplog.text


async def test_a_list_in_an_open_auction_changes_nothing(seller: Seller) -> None:
    (bid,) = await seller.say(demand())
    assert isinstance(bid, Bid)
    bid_hash = seller.link.envelopes[-1].hash()
    listed = Reveal(DEMAND, {NODE: commitment(NODE, bid)})
    assert await seller.say(listed) == []
    wrong = award(bid_hash, reveal_hash=listed.hash())
    assert code_of(await seller.say(wrong)) is DeclineCode.TERMS_CHANGED


async def test_an_award_that_names_another_list_is_denied(seller: Seller) -> None:
    asked = demand(sealed_bids=True)
    sealed = await commit_to(seller, asked)
    await seller.say(Reveal(DEMAND, {NODE: sealed.commitment}))
    bid_hash = seller.link.envelopes[-1].hash()
    for other in ("", "1" * 64):
        wrong = award(bid_hash, asked, reveal_hash=other)
        assert code_of(await seller.say(wrong)) is DeclineCode.TERMS_CHANGED


async def test_a_bid_that_has_expired_is_not_shown(seller: Seller) -> None:
    sealed = await commit_to(seller, demand(sealed_bids=True))
    seller.now_ms += 60_000
    assert await seller.say(Reveal(DEMAND, {NODE: sealed.commitment})) == []
