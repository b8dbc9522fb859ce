"""Awards: taken once, on the terms that were bid, and saved before they are answered."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import pytest

from neurogrid_marketplace.bid import DeclineCode
from neurogrid_marketplace.execution import agreement
from neurogrid_node.journal import JournalError
from neurogrid_node.lease.executor import LeaseRunner
from neurogrid_node.market.bidder import LEASES_MAX
from node.fakes import InlineJournal
from node.market import (
    COORDINATOR,
    LEASE,
    NEED,
    TOTAL,
    award,
    demand,
)
from node.seller import PUBLIC_KEY, Seller, code_of


async def test_an_award_is_saved_with_its_resources_and_accepted(seller: Seller) -> None:
    won = await seller.take()
    ((lease, held),) = seller.journal.inline.load()
    assert (lease.award, lease.coordinator) == (won, COORDINATOR)
    assert held == seller.book.held(LEASE)
    assert held.need == NEED
    seller.now_ms += 10**9
    assert seller.book.free(seller.now_ms).cpu_millis == 3000
    assert seller.link.beats == seller.other.beats == 1


async def test_a_repeated_award_gets_the_same_answer_and_no_second_runner(seller: Seller) -> None:
    won = await seller.take()
    seller.now_ms += 3_600_000
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]
    assert len(seller.runners) == 1


async def test_the_same_lease_on_other_terms_is_denied(seller: Seller) -> None:
    won = await seller.take()
    other = replace(won, max_cost_micro_usdc=won.max_cost_micro_usdc + 1)
    assert code_of(await seller.say(other)) is DeclineCode.TERMS_CHANGED


@pytest.mark.parametrize(
    "change",
    [
        {"bid_hash": "1" * 64},
        {"demand_hash": "1" * 64},
        {"job_hash": "1" * 64},
        {"timeout_s": 61},
        {"voucher_interval_s": 3600},
        {"price_micro_usdc_per_hour": 24_999},
        {"max_cost_micro_usdc": 16_666},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_an_award_on_other_terms_is_denied_and_the_right_one_still_taken(
    seller: Seller, change: dict[str, object]
) -> None:
    right = award(await seller.bid_hash())
    wrong = replace(right, **change)  # type: ignore[arg-type]  # fields of an award
    assert code_of(await seller.say(wrong)) is DeclineCode.TERMS_CHANGED
    assert seller.journal.inline.load() == []
    assert await seller.say(right) == [agreement(right, PUBLIC_KEY)]


async def test_an_award_of_a_bid_that_has_expired_is_denied(seller: Seller) -> None:
    won = award(await seller.bid_hash())
    seller.now_ms += 60_000
    assert code_of(await seller.say(won)) is DeclineCode.RESERVATION_EXPIRED


async def test_an_award_out_of_the_blue_is_denied(seller: Seller) -> None:
    assert code_of(await seller.say(award("0" * 64))) is DeclineCode.RESERVATION_EXPIRED


async def test_one_bid_wins_one_lease(seller: Seller) -> None:
    won = await seller.take()
    again = replace(won, lease_id="lease_" + "2" * 32)
    assert code_of(await seller.say(again)) is DeclineCode.RESERVATION_EXPIRED


async def test_a_node_that_drains_takes_nothing_more(seller: Seller) -> None:
    won = award(await seller.bid_hash())
    seller.provider.accepting = False
    assert code_of(await seller.say(won)) is DeclineCode.NOT_ACCEPTING


async def test_a_lease_that_cannot_be_saved_is_not_taken(seller: Seller) -> None:
    class Full(InlineJournal):
        async def call(self, use: Callable[..., object], *arguments: object, **_: object):  # type: ignore[no-untyped-def]  # a full disk
            raise JournalError("the disk is full")

    seller.provider = seller.make(Full(seller.journal.inline))
    seller.provider.accepting = True
    won = award(await seller.bid_hash())
    assert code_of(await seller.say(won)) is DeclineCode.NOT_READY
    assert seller.provider.runners == {}
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_there_are_no_more_leases_than_a_heartbeat_names(seller: Seller) -> None:
    won = award(await seller.bid_hash())
    for number in range(LEASES_MAX):
        seller.provider.runners[str(number)] = cast(LeaseRunner, None)
    assert code_of(await seller.say(won)) is DeclineCode.BUSY
    another = demand(demand_id="demand_" + "2" * 32)
    assert code_of(await seller.say(another)) is DeclineCode.BUSY


async def test_resources_go_back_when_the_machine_is_cleared_not_when_all_is_paid(
    seller: Seller,
) -> None:
    await seller.take()
    seller.provider.cleared(LEASE)
    assert seller.book.free(seller.now_ms) == TOTAL
    assert LEASE in seller.provider.runners
    seller.provider.forgotten(LEASE)
    assert seller.provider.runners == {}
