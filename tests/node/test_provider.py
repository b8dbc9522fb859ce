from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from neurogrid_marketplace.attributes import NODE as NODE_ATTRIBUTES
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.messages import (
    Accept,
    Acknowledge,
    Award,
    Deny,
    Hello,
    Message,
    Pulse,
    Stop,
    VoucherMessage,
    Welcome,
)
from neurogrid_marketplace.offer import LeaseStatus
from neurogrid_marketplace.resources import Gpu, Requirements
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS, Commit, Reveal, commitment
from neurogrid_marketplace.spot import SpotTerms
from neurogrid_node.bidder import BID_VALID_MS, LEASES_MAX
from neurogrid_node.executor import LeaseRunner
from neurogrid_node.journal import Journal, JournalError, JournalThread
from neurogrid_node.provider import Provider
from neurogrid_node.reclaiming import ALL
from neurogrid_node.reservations import Reservations
from neurogrid_node.start_history import DEFAULT_READY_MS, StartTook
from node.fakes import FakeLink, InlineJournal
from node.market import (
    COORDINATOR,
    DEMAND,
    GIB,
    GPU,
    LEASE,
    NEED,
    NODE,
    NOW_MS,
    OFFER,
    POLICY,
    TOTAL,
    award,
    demand,
    start,
)

OTHER = NODE  # a second coordinator's peer id
KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = KEY.public_key().public_bytes_raw().hex()


@dataclass
class HeardRunner:
    """A lease's runner that only notes what it is told."""

    lease: NodeLease
    heard: list[Message] = field(default_factory=list)
    reclaimed: bool = False

    def received(self, message: Message) -> None:
        self.heard.append(message)

    def reclaim(self) -> None:
        if self.lease.is_reclaimable:
            self.reclaimed = True

    def status(self) -> LeaseStatus:
        return LeaseStatus(self.lease.lease_id, self.lease.phase)


class Seller:
    """A provider with two coordinators, a clock that is set, and a real journal."""

    def __init__(self, journal: Journal) -> None:
        self.now_ms = NOW_MS
        self.image_bytes: int | None = 7
        self.journal = InlineJournal(journal)
        self.book = Reservations(TOTAL)
        self.link = FakeLink(COORDINATOR)
        self.other = FakeLink(OTHER)
        self.runners: list[HeardRunner] = []
        self.sealing_key = KEY
        self.policy = POLICY
        self.provider = self.make(self.journal)
        self.provider.accepting = True

    def make(self, journal: JournalThread) -> Provider:
        async def image_bytes(reference: str) -> int | None:
            return self.image_bytes

        def start_runner(lease: NodeLease) -> LeaseRunner:
            # Saved before anything is done about it.
            assert lease.lease_id in [known.lease_id for known, _ in self.journal.inline.load()]
            self.runners.append(HeardRunner(lease))
            return cast(LeaseRunner, self.runners[-1])

        provider = Provider(
            OFFER,
            policy=self.policy,
            max_unpaid_ms=60_000,
            reservations=self.book,
            journal=journal,
            image_bytes=image_bytes,
            start_runner=start_runner,
            now_ms=lambda: self.now_ms,
            starts=self.journal.inline.starts(),
            new_sealing_key=lambda: self.sealing_key,
        )
        provider.links = {COORDINATOR: self.link, OTHER: self.other}
        return provider

    async def say(self, message: Message, link: FakeLink | None = None) -> list[Message]:
        """What is answered to a message."""
        link = link or self.link
        link.taken()
        await self.provider.received(link, message)
        return link.taken()

    async def bid_hash(self, asked: Demand | None = None, link: FakeLink | None = None) -> str:
        """Ask, and be bid; the hash of the bid's envelope."""
        link = link or self.link
        (reply,) = await self.say(asked or demand(), link)
        assert isinstance(reply, Bid), reply
        return link.envelopes[-1].hash()

    async def take(self) -> Award:
        """Win an auction."""
        won = award(await self.bid_hash())
        assert await self.say(won) == [agreement(won, PUBLIC_KEY)]
        return won


@pytest.fixture
def seller(tmp_path: Path) -> Iterator[Seller]:
    journal = Journal(tmp_path / "journal.db")
    yield Seller(journal)
    journal.close()


def code_of(replies: list[Message]) -> DeclineCode:
    (reply,) = replies
    assert isinstance(reply, Deny | Decline), reply
    return reply.code


# --- demands ----------------------------------------------------------------------------------


async def test_an_image_that_came_is_told_to_every_coordinator_once(seller: Seller) -> None:
    await seller.provider.found_images(("python:3.12",))
    await seller.provider.found_images(("python:3.12",))
    for link in (seller.link, seller.other):
        (said,) = link.taken()
        assert isinstance(said, Hello)
        assert said.offer.images == ("python:3.12",)
    wanted = read_conditions("image.present has python:3.12", NODE_ATTRIBUTES)
    (bid,) = await seller.say(demand(where=wanted))
    assert isinstance(bid, Bid)


async def test_a_bid_holds_the_gpu_that_the_conditions_name(seller: Seller) -> None:
    small = Gpu("GPU-0", "NVIDIA T4", 16 * GIB, "7.5")
    seller.book.total = replace(TOTAL, gpus=(small, GPU))
    wanted = read_conditions("gpu.memory >= 20GB", NODE_ATTRIBUTES)
    need = replace(demand().requirements, gpu_count=1)
    (bid,) = await seller.say(demand(requirements=need, where=wanted))
    assert isinstance(bid, Bid)
    assert seller.book.free(seller.now_ms).gpus == (small,)


async def test_a_demand_gets_a_bid_that_holds_its_resources(seller: Seller) -> None:
    (bid,) = await seller.say(demand())
    assert isinstance(bid, Bid)
    assert (bid.demand_id, bid.start_ms) == (DEMAND, DEFAULT_READY_MS)
    assert seller.book.free(seller.now_ms).cpu_millis == 3000
    seller.now_ms = bid.valid_until_ms
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_a_demand_that_does_not_fit_gets_a_decline_and_holds_nothing(seller: Seller) -> None:
    big = demand(requirements=replace(NEED, cpu_millis=99_000))
    assert code_of(await seller.say(big)) is DeclineCode.DOES_NOT_FIT
    seller.image_bytes = None
    assert code_of(await seller.say(demand())) is DeclineCode.NOT_READY
    seller.provider.accepting = False
    assert code_of(await seller.say(demand())) is DeclineCode.NOT_ACCEPTING
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_the_same_demand_again_gets_the_same_bid_and_both_stand(seller: Seller) -> None:
    everything = demand(requirements=replace(NEED, cpu_millis=4000))
    first = await seller.bid_hash(everything)
    second = await seller.bid_hash(everything)
    assert first != second
    won = award(first, everything)
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_each_lease_has_a_sealing_key_of_its_own_which_its_accept_names_ever_after(
    seller: Seller,
) -> None:
    won = await seller.take()
    assert seller.journal.inline.sealing_key(won.lease_id) == KEY.private_bytes_raw()
    seller.sealing_key = X25519PrivateKey.generate()
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_another_demand_under_the_same_name_is_answered_anew(seller: Seller) -> None:
    old = await seller.bid_hash()
    bigger = demand(requirements=replace(NEED, cpu_millis=2000))
    new = await seller.bid_hash(bigger)
    assert seller.book.free(seller.now_ms).cpu_millis == 2000
    assert code_of(await seller.say(award(old, bigger))) is DeclineCode.TERMS_CHANGED
    won = award(new, bigger)
    assert await seller.say(won) == [agreement(won, PUBLIC_KEY)]


async def test_any_number_of_demands_takes_no_more_than_the_machine(seller: Seller) -> None:
    for number in range(3000):
        await seller.say(demand(demand_id=f"demand_{number:032x}"))
    assert seller.book.free(seller.now_ms).cpu_millis == 0
    nothing = demand(requirements=Requirements(0, 0, 0))
    assert code_of(await seller.say(nothing)) is DeclineCode.DOES_NOT_FIT
    seller.now_ms += 60_000
    assert seller.book.free(seller.now_ms) == TOTAL


async def test_inputs_are_held_too(seller: Seller) -> None:
    await seller.say(demand(input_bytes=5 * GIB))
    assert seller.book.free(seller.now_ms).disk_bytes == TOTAL.disk_bytes - 6 * GIB


async def test_bids_say_what_starts_have_taken(seller: Seller) -> None:
    for _ in range(50):
        await seller.provider.started(StartTook(1_000, "image:1"))
    await seller.provider.started(StartTook(3_600_000, "image:1"))  # it waited for something else
    (bid,) = await seller.say(demand())
    assert isinstance(bid, Bid)
    assert (bid.start_ms, bid.start_p95_ms, bid.cached_bytes) == (1_000, 1_000, 7)
    # A new life of the node knows it too.
    seller.provider = seller.make(seller.journal)
    seller.provider.accepting = True
    (again,) = await seller.say(demand())
    assert isinstance(again, Bid)
    assert again.start_ms == 1_000


# --- sealed bids ------------------------------------------------------------------------------


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


# --- awards -----------------------------------------------------------------------------------


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


# --- other coordinators -----------------------------------------------------------------------


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


# --- preemptible tasks ------------------------------------------------------------------------------

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
    assert not seller.provider.make_room(won.lease_id)
    # What the journal has is enough to go on.
    assert {held.instead_of for _, held in seller.journal.inline.load()} == {(), (SPOT_LEASE,)}
    seller.provider.cleared(SPOT_LEASE)
    assert seller.provider.make_room(won.lease_id)
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


async def test_what_could_be_reclaimed_is_told(seller: Seller) -> None:
    await with_spot_lease(selling_spot(seller))
    beat = seller.provider.heartbeat(COORDINATOR)
    assert beat.free.cpu_millis == 0
    assert beat.reclaimable == seller.provider.hello(COORDINATOR).offer.reclaimable == TOTAL


async def test_the_owner_reclaims_one_lease_or_all_that_may_be(seller: Seller) -> None:
    runner = await with_spot_lease(selling_spot(seller))
    assert seller.provider.reclaim("lease_" + "9" * 32), "nothing is to be done"
    assert not seller.provider.reclaim(SPOT_LEASE)
    assert runner.reclaimed
    runner.lease = replace(runner.lease, reclaimed_at_ms=seller.now_ms)
    assert seller.provider.reclaim(SPOT_LEASE), "it is under way"
    assert seller.provider.reclaim(ALL)
