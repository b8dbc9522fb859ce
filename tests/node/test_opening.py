"""Open for new work or not: the owner's word, kept, and told to everybody."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from neurogrid_marketplace.bid import Bid, DeclineCode
from neurogrid_marketplace.messages import Heartbeat
from neurogrid_node.journal import Journal, JournalError
from neurogrid_node.market.intake import Mode, Word
from neurogrid_node.market.opening import Opening
from node.market import award, demand
from node.seller import Seller, code_of


@dataclass
class Shop:
    """A seller that opens and closes."""

    seller: Seller
    opening: Opening

    @property
    def stored(self) -> Word:
        return self.seller.journal.inline.word()

    async def bids(self) -> bool:
        (reply,) = await self.seller.say(demand())
        return isinstance(reply, Bid)


def opened(seller: Seller) -> Opening:
    """What a daemon makes at its start, from what it finds."""
    seller.provider.accepting = False
    return Opening(
        seller.provider,
        seller.journal,
        seller.journal.inline.word(),
        trio.Event(),
        lambda: seller.now_ms,
    )


@pytest.fixture
async def shop(seller: Seller) -> AsyncIterator[Shop]:
    opening = opened(seller)
    opening.stake_seen(may_work=True)
    await opening.container_seen(is_held=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opening.run)
        yield Shop(seller, opening)
        nursery.cancel_scope.cancel()


async def test_a_paused_node_bids_for_nothing_and_takes_no_award_of_before(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    won = award(await shop.seller.bid_hash())
    await shop.opening.pause(None)
    assert not await shop.bids()
    assert code_of(await shop.seller.say(won)) is DeclineCode.NOT_ACCEPTING
    assert shop.stored.mode is Mode.PAUSED
    await shop.opening.resume()
    assert await shop.bids()


async def test_a_pause_survives_a_restart_and_ends_by_itself(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    await shop.opening.pause(60)
    again = opened(shop.seller)
    again.stake_seen(may_work=True)
    await again.container_seen(is_held=True)
    assert not await shop.bids()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(again.run)
        shop.seller.now_ms += 60_000
        await trio.sleep(1)
        assert await shop.bids()
        nursery.cancel_scope.cancel()
    assert shop.stored.mode is Mode.OPEN


async def test_what_cannot_be_stored_is_not_done(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    def break_down() -> None:
        raise JournalError("the disk is full")

    shop.seller.journal.passed = break_down
    with pytest.raises(JournalError):
        await shop.opening.pause(None)
    shop.seller.journal.passed = lambda: None
    assert await shop.bids()
    assert shop.opening.word.mode is Mode.OPEN


async def test_a_drain_is_over_with_its_last_lease(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    won = await shop.seller.take()
    await shop.opening.drain(exits=False)
    assert not await shop.bids()
    await trio.sleep(60)
    assert not shop.opening.is_drained
    # Its room is free, and what it earned is not claimed yet.
    shop.seller.provider.cleared(won.lease_id)
    await trio.sleep(60)
    assert not shop.opening.is_drained
    shop.seller.provider.forgotten(won.lease_id)
    with trio.fail_after(60):
        assert await shop.opening.until_drained()
        assert await shop.opening.until_drained()
    assert not shop.opening.stopping.is_set()
    assert not await shop.bids()
    await shop.opening.resume()
    assert await shop.bids()


async def test_a_drain_that_exits_is_over_with_the_daemon(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    won = await shop.seller.take()
    await shop.opening.drain(exits=True)
    await trio.sleep(60)
    # Killed here and started again, it goes on draining.
    assert shop.stored == shop.opening.word
    assert (shop.stored.mode, shop.stored.exits) == (Mode.DRAINING, True)
    assert not shop.opening.stopping.is_set()
    shop.seller.provider.cleared(won.lease_id)
    shop.seller.provider.forgotten(won.lease_id)
    with trio.fail_after(60):
        await shop.opening.stopping.wait()
        assert await shop.opening.until_drained()
    # Whoever starts it again wants it to work; this life takes nothing more.
    assert shop.stored.mode is Mode.OPEN
    assert not await shop.bids()
    assert shop.opening.refusal == "stopping"


async def test_who_waits_for_a_drain_hears_when_the_owner_says_something_else(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    await shop.seller.take()
    await shop.opening.drain(exits=False)
    done: list[bool] = []

    async def wait() -> None:
        done.append(await shop.opening.until_drained())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        await shop.opening.drain(exits=True)
        await trio.testing.wait_all_tasks_blocked()
        assert done == []
        await shop.opening.resume()
    assert done == [False]


async def test_goodbye_tells_every_coordinator_and_a_deaf_one_is_not_waited_for(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    for link in (shop.seller.link, shop.seller.other):
        link.taken()
    await shop.opening.goodbye()
    for link in (shop.seller.link, shop.seller.other):
        (said,) = link.taken()
        assert isinstance(said, Heartbeat)
        assert not said.accepting


def test_a_word_that_cannot_be_read_is_not_taken_for_consent(seller: Seller) -> None:
    journal: Journal = seller.journal.inline
    journal._db.execute("update owner_word set document='{'")
    with pytest.raises(JournalError, match="owner's word"):
        journal.word()


async def test_a_machine_that_proves_nothing_any_more_bids_for_nothing(shop: Shop) -> None:
    assert await shop.bids()
    await shop.opening.container_seen(is_held=False)
    assert not await shop.bids()
    assert "no container has shown" in shop.opening.refusal
    await shop.opening.container_seen(is_held=True)
    assert await shop.bids()
