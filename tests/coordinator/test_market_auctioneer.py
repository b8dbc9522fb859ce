"""Auctions under a virtual clock: nodes are functions, no network."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
import trio
import trio.testing

from coordinator.market_nodes import NETWORK, NOW_MS, FakeNode, demand
from neurogrid_coordinator.market.auctioneer import Auctioneer
from neurogrid_coordinator.market.directory import Directory
from neurogrid_coordinator.market.reports import AuctionReport
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, seal
from neurogrid_marketplace.matching import SAMPLE_SIZE
from neurogrid_marketplace.messages import Hello, Message, to_body, type_name
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS, Commit, Reveal, commitment
from neurogrid_p2p.errors import ChannelClosed

Script = Callable[[FakeNode, Demand], Bid | Decline | None]


def bids(node: FakeNode, terms: Demand) -> Bid | Decline | None:
    return node.bid(terms)


def is_busy(node: FakeNode, terms: Demand) -> Bid | Decline | None:
    return Decline(terms.demand_id, DeclineCode.BUSY)


def is_silent(node: FakeNode, terms: Demand) -> Bid | Decline | None:
    return None


def sealed(node: FakeNode, message: Message) -> Envelope:
    return seal(
        node.keys.sign,
        network=NETWORK,
        type=type_name(message),
        sender=node.node_id,
        recipient=node.node_id,
        session="s",
        sequence=0,
        sent_at_ms=NOW_MS,
        body=to_body(message),
    )


@dataclass
class Hall:
    """A directory of nodes, an auctioneer, and who was asked when (virtual seconds)."""

    delay_s: float = 0.01
    directory: Directory = field(default_factory=Directory)
    asked: dict[str, float] = field(default_factory=dict)
    scripts: dict[str, tuple[FakeNode, Script]] = field(default_factory=dict)
    hidden: dict[str, Bid] = field(default_factory=dict)
    lists: dict[str, Reveal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.auctioneer = Auctioneer(self.directory, self._send)

    def add(self, script: Script = bids, **node: object) -> FakeNode:
        fake = FakeNode(**node)  # type: ignore[arg-type]  # the caller names real fields
        self.directory.join(Hello(fake.offer()), NOW_MS)
        self.scripts[fake.node_id] = (fake, script)
        return fake

    async def hold(self, terms: Demand, *excluded: str) -> AuctionReport:
        async with trio.open_nursery() as self.nursery:
            report = await self.auctioneer.hold(terms, frozenset(excluded), {})
            self.nursery.cancel_scope.cancel()
        return report

    async def _send(self, node_id: str, message: Demand | Reveal) -> Envelope:
        node, script = self.scripts[node_id]
        answer: Bid | Decline | Commit | None
        if isinstance(message, Reveal):
            self.lists[node_id] = message
            answer = self.shows(node)
        else:
            self.asked[node_id] = trio.current_time()
            answer = script(node, message)
            if isinstance(answer, Bid) and message.sealed_bids:
                answer = self.seals(node, answer)
        if answer is not None:
            self.nursery.start_soon(self._answer, node, answer)
        return sealed(node, message)

    def seals(self, node: FakeNode, bid: Bid) -> Commit | Bid:
        """What a node commits to."""
        self.hidden[node.node_id] = replace(bid, nonce=node.seed.hex())
        return Commit(
            bid.demand_id, bid.demand_hash, commitment(node.node_id, self.hidden[node.node_id])
        )

    def shows(self, node: FakeNode) -> Bid | None:
        """What a node says to the list of commitments."""
        return self.hidden.get(node.node_id)

    async def _answer(self, node: FakeNode, answer: Bid | Decline | Commit) -> None:
        await trio.sleep(self.delay_s)
        envelope = sealed(node, answer)
        match answer:
            case Bid():
                self.auctioneer.bid_received(node.node_id, envelope, answer)
            case Commit():
                self.auctioneer.commit_received(node.node_id, envelope, answer)
            case Decline():
                self.auctioneer.decline_received(node.node_id, answer)


async def test_the_lowest_score_wins_and_is_paid_the_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    cheap, middle, dear = (hall.add(price=price) for price in (300_000, 400_000, 500_000))
    report = await hall.hold(demand())
    assert [ranked.node_id for ranked in report.ranking] == [
        cheap.node_id,
        middle.node_id,
        dear.node_id,
    ]
    assert [ranked.award_price_micro_usdc_per_hour for ranked in report.ranking] == [
        400_000,
        500_000,
        500_000,
    ]
    assert {ranked.bid_hash for ranked in report.ranking} == {
        envelope.hash() for envelope in report.bids.values()
    }
    assert set(report.demands) == {cheap.node_id, middle.node_id, dear.node_id}
    assert report.explanation.matching == 3


async def test_it_closes_when_everybody_has_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall(delay_s=0.05)
    hall.add()
    hall.add(is_busy)
    hall.add()
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000))
    assert trio.current_time() - started == pytest.approx(0.05)
    assert len(report.ranking) == 2
    assert [decline.code for decline in report.declines.values()] == [DeclineCode.BUSY]
    assert report.explanation.declines == {"busy": 1}


async def test_who_says_nothing_holds_it_up_for_one_window(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    hall.add()
    hall.add()
    hall.add(is_silent)
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=250))
    assert trio.current_time() - started == pytest.approx(0.25)
    assert len(report.ranking) == 2


async def test_who_leaves_is_not_waited_for(autojump_clock: trio.testing.MockClock) -> None:
    hall = Hall()
    hall.add()
    hall.add()
    gone = hall.add(is_silent)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            await trio.sleep(0.02)
            hall.auctioneer.node_left(gone.node_id)

        nursery.start_soon(leave)
        report = await hall.hold(demand(bid_window_ms=60_000))
    assert trio.current_time() - started == pytest.approx(0.02)
    assert len(report.ranking) == 2


async def test_who_cannot_be_reached_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    hall.add()
    hall.add()

    def is_gone(node: FakeNode, terms: Demand) -> None:
        raise ChannelClosed("gone")

    hall.add(is_gone)
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000))
    assert trio.current_time() - started < 1
    assert len(report.ranking) == 2
    assert len(report.demands) == 2


async def test_a_small_sample_of_a_large_market_is_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    for _ in range(100):
        hall.add()
    report = await hall.hold(demand())
    assert len(hall.asked) == SAMPLE_SIZE == len(report.demands)


async def test_with_fewer_than_two_bids_as_many_again_are_asked_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    for _ in range(100):
        hall.add(is_busy)
    report = await hall.hold(demand())
    assert len(hall.asked) == 2 * SAMPLE_SIZE
    assert report.explanation.declines == {"busy": 2 * SAMPLE_SIZE}
    assert "declined: 16 busy" in report.explanation.sentence()


async def test_the_second_round_does_not_wait_for_the_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    answers: list[Script] = []

    def is_silent_at_first(node: FakeNode, terms: Demand) -> Bid | Decline | None:
        answers.append(is_silent)
        return None if len(answers) <= SAMPLE_SIZE else node.bid(terms)

    for _ in range(100):
        hall.add(is_silent_at_first)
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=1_000))
    assert trio.current_time() - started == pytest.approx(1.01)
    assert len(report.ranking) == SAMPLE_SIZE


async def test_a_lone_bidder_is_found_without_a_second_window(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    hall.add(price=300_000)
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000))
    assert trio.current_time() - started < 1
    assert report.ranking[0].award_price_micro_usdc_per_hour == 300_000


async def test_excluded_nodes_and_those_that_do_not_match_are_not_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    excluded = hall.add()
    hall.add(price=2_000_000)
    asked = hall.add()
    report = await hall.hold(demand(), excluded.node_id)
    assert list(hall.asked) == [asked.node_id]
    assert [ranked.node_id for ranked in report.ranking] == [asked.node_id]


async def test_nobody_there_is_explained(autojump_clock: trio.testing.MockClock) -> None:
    hall = Hall()
    hall.add(price=2_000_000)
    report = await hall.hold(demand())
    assert report.ranking == ()
    assert report.explanation.relaxation is not None
    assert report.explanation.relaxation.constraint == "max_price"
    assert report.explanation.clearing_price_micro_usdc_per_hour == 2_000_000


async def test_bids_that_do_not_count_are_not_counted(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall()

    def on_other_terms(node: FakeNode, terms: Demand) -> Bid:
        return node.bid(replace(terms, timeout_s=61))

    def too_dear(node: FakeNode, terms: Demand) -> Bid:
        return replace(node.bid(terms), price_micro_usdc_per_hour=1_000_001)

    hall.add(on_other_terms)
    hall.add(too_dear)
    honest = hall.add()
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000))
    assert [ranked.node_id for ranked in report.ranking] == [honest.node_id]
    assert set(report.bids) == {honest.node_id}
    assert trio.current_time() - started < 1
    assert "other_terms" in caplog.text
    assert "too_dear" in caplog.text


async def test_a_second_bid_and_one_of_a_node_that_was_not_asked_change_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    bidder, waiter, outsider = hall.add(price=400_000), hall.add(is_silent), FakeNode(price=1)
    terms = demand(bid_window_ms=1_000)

    async def interfere() -> None:
        await trio.sleep(0.5)
        lower = replace(bidder.bid(terms), price_micro_usdc_per_hour=1)
        hall.auctioneer.bid_received(bidder.node_id, sealed(bidder, lower), lower)
        strange = outsider.bid(terms)
        hall.auctioneer.bid_received(outsider.node_id, sealed(outsider, strange), strange)
        late = replace(waiter.bid(terms), demand_id=demand(99).demand_id)
        hall.auctioneer.bid_received(waiter.node_id, sealed(waiter, late), late)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(interfere)
        report = await hall.hold(terms)
    assert [ranked.bid.price_micro_usdc_per_hour for ranked in report.ranking] == [400_000]


async def test_one_demand_is_auctioned_once_at_a_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    hall.add(is_silent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hall.hold, demand())
        await trio.sleep(0.1)
        with pytest.raises(ValueError, match="already"):
            await hall.auctioneer.hold(demand(), frozenset(), {})
    await hall.hold(demand())


# --- sealed bids ------------------------------------------------------------------------------


async def test_sealed_bids_are_shown_only_after_everybody_has_committed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall(delay_s=0.05)
    cheap, dear = hall.add(price=300_000), hall.add(price=400_000)
    busy = hall.add(is_busy)
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000, sealed_bids=True))
    assert trio.current_time() - started == pytest.approx(0.1)  # two rounds, each closed early
    assert [ranked.node_id for ranked in report.ranking] == [cheap.node_id, dear.node_id]
    assert report.ranking[0].award_price_micro_usdc_per_hour == 400_000
    assert set(report.commits) == set(report.reveals) == {cheap.node_id, dear.node_id}
    assert list(report.declines) == [busy.node_id]
    # One list, the same for all, of exactly what they had committed to.
    (listed,) = {item.hash(): item for item in hall.lists.values()}.values()
    assert dict(listed.commitments) == {
        node_id: commitment(node_id, bid) for node_id, bid in hall.hidden.items()
    }


async def test_a_bid_that_is_not_what_was_committed_to_is_dropped_with_a_reason(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall()
    liar, honest = hall.add(price=300_000), hall.add(price=400_000)

    def shows(node: FakeNode) -> Bid:
        bid = hall.hidden[node.node_id]
        return replace(bid, price_micro_usdc_per_hour=1) if node is liar else bid

    hall.shows = shows  # type: ignore[method-assign]  # this test's nodes
    report = await hall.hold(demand(sealed_bids=True))
    assert [ranked.node_id for ranked in report.ranking] == [honest.node_id]
    assert liar.node_id in report.commits
    assert f"{liar.node_id} said does not count: not_as_committed" in caplog.text


async def test_who_commits_and_shows_nothing_holds_it_up_for_a_second_and_is_evidence(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall(delay_s=0.01)
    silent, honest = hall.add(price=300_000), hall.add(price=400_000)
    hall.shows = lambda node: None if node is silent else hall.hidden[node.node_id]  # type: ignore[method-assign]  # this test's nodes
    started = trio.current_time()
    report = await hall.hold(demand(bid_window_ms=60_000, sealed_bids=True))
    assert trio.current_time() - started == pytest.approx(0.01 + REVEAL_LIMIT_MS / 1000)
    assert [ranked.node_id for ranked in report.ranking] == [honest.node_id]
    assert set(report.commits) == {silent.node_id, honest.node_id}
    assert "not_revealed" in caplog.text


async def test_an_open_bid_in_a_sealed_auction_and_a_bid_that_nobody_committed_to_do_not_count(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall()
    open_bidder, waiter, honest = hall.add(), hall.add(is_silent), hall.add()

    def seals(node: FakeNode, bid: Bid) -> Commit | Bid:
        return bid if node is open_bidder else usual(node, bid)

    usual, hall.seals = hall.seals, seals  # type: ignore[method-assign]  # this test's nodes

    async def invent() -> None:
        await trio.sleep(0.26)  # the window is over, the list is out
        late = waiter.bid(terms)
        hall.auctioneer.bid_received(waiter.node_id, sealed(waiter, late), late)

    terms = demand(bid_window_ms=250, sealed_bids=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(invent)
        report = await hall.hold(terms)
    assert waiter.node_id not in report.commits
    assert [ranked.node_id for ranked in report.ranking] == [honest.node_id]
    assert f"{open_bidder.node_id} said does not count: not_sealed" in caplog.text
    assert f"{waiter.node_id} said does not count: not_sealed" in caplog.text


async def test_with_fewer_than_two_commitments_as_many_again_are_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    for _ in range(100):
        hall.add(is_busy)
    report = await hall.hold(demand(sealed_bids=True))
    assert len(hall.asked) == 2 * SAMPLE_SIZE
    assert report.ranking == ()
    assert hall.lists == {}


async def test_a_commitment_in_an_open_auction_is_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    hall = Hall()
    hall.add()
    odd = hall.add(is_silent)
    terms = demand(bid_window_ms=250)

    async def commit() -> None:
        await trio.sleep(0.1)
        early = hall.seals(odd, odd.bid(terms))
        assert isinstance(early, Commit)
        hall.auctioneer.commit_received(odd.node_id, sealed(odd, early), early)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(commit)
        report = await hall.hold(terms)
    assert (len(report.ranking), report.commits, hall.lists) == (1, {}, {})
