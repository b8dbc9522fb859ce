from dataclasses import replace
from typing import Any

import pytest

from coordinator.market_nodes import GIB, demand
from marketplace.keys import person
from neurogrid.machine.auctions import ACCEPT_WITHIN_MS, Auctions
from neurogrid.machine.bidding import Policy, Taken, answer, left
from neurogrid.machine.endings import SAYABLE, outcome_of
from neurogrid.machine.log_sending import RESEND_MS, LogSending
from neurogrid.machine.offering import Host, capacity_of, offer_of, prices_of
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.faults import CONSEQUENCES, Outcome
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.network import Network
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Requirements
from neurogrid_marketplace.sealing import Commit, Reveal, commitment

HOST = Host(8, 32, 500)
ME = person("me")
GPU = {"model": "NVIDIA RTX 4090", "memory_gb": 24, "gpu_count": 2}


def offer(price: str = "0.50", **specifications: object) -> Offer:
    return offer_of(
        node_id=ME.peer_id,
        wallet=ME.address,
        software="test/1",
        region="here",
        total=capacity_of("gpu", {**GPU, **specifications}, HOST, "gpu"),
        prices=prices_of({"per_hour": price}),
        images=(),
        accepting=True,
    )


def test_a_resource_is_offered_as_document_003_specifies_it() -> None:
    made = offer()
    assert (made.total.cpu_millis, made.total.memory_bytes) == (8_000, 32 * 10**9)
    assert [gpu.uuid for gpu in made.total.gpus] == ["gpu-gpu-0", "gpu-gpu-1"]
    assert {gpu.memory_bytes for gpu in made.total.gpus} == {24 * 10**9}
    assert made.prices.quote(demand().requirements) == 500_000


@pytest.mark.parametrize(
    ("specifications", "why"),
    [
        ({"memory_gb": 24}, "have a model"),
        ({"model": "X"}, "have a memory_gb"),
        ({**GPU, "colour": "red"}, "have no colour"),
        ({**GPU, "memory_gb": "much"}, "memory_gb: a number above zero"),
        ({**GPU, "cpu_cores": -1}, "cpu_cores: a number above zero"),
        ({**GPU, "gpu_uuids": ["a", "a"]}, "2 different ones"),
        ({**GPU, "gpu_uuids": ["a b", "c"]}, "specifications: "),
    ],
)
def test_what_is_no_specification_is_said(specifications: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        capacity_of("gpu", specifications, HOST, "gpu")


def test_what_is_no_price_is_said() -> None:
    with pytest.raises(ValueError, match="has none of per_hour"):
        prices_of({})
    with pytest.raises(ValueError, match="have no per_month"):
        prices_of({"per_month": "1"})
    with pytest.raises(ValueError, match="pricing"):
        prices_of({"per_hour": "-1"})


def test_it_bids_its_price_for_what_fits() -> None:
    asked = demand(requirements=Requirements(1000, GIB, GIB, gpu_count=1))
    found = answer(asked, offer(), Policy(), 0, now_ms=1_000)
    assert isinstance(found, tuple)
    bid, taken = found
    assert (bid.price_micro_usdc_per_hour, bid.wallet) == (500_000, ME.address)
    assert [gpu.uuid for gpu in taken.gpus] == ["gpu-gpu-0"]
    free = left(offer().total, [taken])
    assert [gpu.uuid for gpu in free.gpus] == ["gpu-gpu-1"]
    assert free.cpu_millis == 7_000


@pytest.mark.parametrize(
    ("changes", "policy", "code"),
    [
        ({"timeout_s": 90_000}, Policy(), DeclineCode.TOO_LONG),
        ({}, Policy(images=("mine/",)), DeclineCode.IMAGE_NOT_ALLOWED),
        ({"network": Network(("example.com",))}, Policy(), DeclineCode.NO_NETWORK),
        ({"requirements": Requirements(regions=("there",))}, Policy(), DeclineCode.DOES_NOT_FIT),
        ({"requirements": Requirements(cpu_millis=0)}, Policy(), DeclineCode.DOES_NOT_FIT),
        ({"requirements": Requirements(gpu_count=3)}, Policy(), DeclineCode.DOES_NOT_FIT),
        ({"max_price_micro_usdc_per_hour": 499_999}, Policy(), DeclineCode.PRICE_TOO_LOW),
        ({"finish_by_ms": 61_000}, Policy(), DeclineCode.DEADLINE_TOO_CLOSE),
    ],
)
def test_it_declines_with_the_reason(
    changes: dict[str, Any], policy: Policy, code: DeclineCode
) -> None:
    declined = answer(replace(demand(), **changes), offer(), policy, 0, now_ms=1_000)
    assert isinstance(declined, Decline)
    assert declined.code is code


def test_what_is_taken_is_not_bid_again() -> None:
    made = offer()
    all_of_it = Taken(Requirements(8_000, GIB, GIB), made.total.gpus)
    busy = replace(made, free=left(made.total, [all_of_it]))
    declined = answer(demand(), busy, Policy(), 0, now_ms=0)
    assert isinstance(declined, Decline)
    assert declined.code is DeclineCode.BUSY


def _award(auctions: Auctions, made: Offer, *, sealed: bool = False) -> Award:
    asked = demand(sealed_bids=sealed)
    reply = auctions.ask(asked, made, 0, now_ms=0)
    assert auctions.ask(asked, made, 0, now_ms=1) == reply, "asked again, the same"
    reveal_hash = ""
    if sealed:
        assert isinstance(reply, Commit)
        reveal = Reveal(asked.demand_id, {ME.peer_id: reply.commitment})
        assert auctions.reveal(Reveal(asked.demand_id, {ME.peer_id: "0" * 64}), 2) is None
        bid = auctions.reveal(reveal, 2)
        assert bid is not None
        assert commitment(ME.peer_id, bid) == reply.commitment
        other = replace(reveal, commitments={**reveal.commitments, person("x").peer_id: "1" * 64})
        assert auctions.reveal(other, 2) is None, "never under a second list"
        reveal_hash = reveal.hash()
    else:
        assert isinstance(reply, Bid)
    auctions.signed(asked.demand_id, "a" * 64)
    return Award(
        "lease_" + "1" * 32,
        asked.demand_id,
        asked.hash(),
        "a" * 64,
        (),
        500_000,
        asked.max_cost_micro_usdc(),
        asked.timeout_s,
        asked.voucher_interval_s,
        asked.job_hash,
        reveal_hash=reveal_hash,
    )


@pytest.mark.parametrize("sealed", [False, True])
def test_an_award_of_its_bid_is_offered_and_held(sealed: bool) -> None:
    auctions = Auctions(ME.peer_id, Policy(), lambda: "b" * 64)
    given = _award(auctions, offer(), sealed=sealed)
    assert auctions.award(given, 10, accepting=True) is None
    assert auctions.award(given, 20, accepting=True) is None, "again, the same"
    assert list(auctions.offered) == [given.lease_id]
    assert len(auctions.taken(10**9)) == 1
    assert auctions.expired(10 + ACCEPT_WITHIN_MS - 1) == []
    (denied,) = auctions.expired(10 + ACCEPT_WITHIN_MS)
    assert (denied.lease_id, denied.code) == (given.lease_id, DeclineCode.NOT_READY)
    assert auctions.taken(10**9) == []


@pytest.mark.parametrize(
    ("changes", "now_ms", "accepting", "code"),
    [
        ({"bid_hash": "c" * 64}, 10, True, DeclineCode.TERMS_CHANGED),
        ({"price_micro_usdc_per_hour": 1}, 10, True, DeclineCode.TERMS_CHANGED),
        ({}, 10**9, True, DeclineCode.RESERVATION_EXPIRED),
        ({}, 10, False, DeclineCode.NOT_ACCEPTING),
    ],
)
def test_other_awards_are_denied(
    changes: dict[str, object], now_ms: int, accepting: bool, code: DeclineCode
) -> None:
    auctions = Auctions(ME.peer_id, Policy(), lambda: "b" * 64)
    given = replace(_award(auctions, offer()), **changes)  # type: ignore[arg-type] # real fields
    denied = auctions.award(given, now_ms, accepting=accepting)
    assert denied is not None
    assert denied.code is code
    assert auctions.offered == {}


def test_a_provider_may_say_what_it_can_know() -> None:
    assert outcome_of("EXECUTION_ERROR", has_run=True) is Outcome.EXIT_NONZERO
    assert outcome_of("gpu_lost", has_run=True) is Outcome.GPU_LOST
    assert outcome_of("START_FAILED", has_run=False) is Outcome.START_FAILED
    never = {"completed", "cancelled", "node_lost", "result_invalid", "preempted", "time_exceeded"}
    assert never <= {each.value for each in CONSEQUENCES if each not in SAYABLE}


def test_a_log_is_sent_as_far_as_it_is_granted_and_again_from_what_is_stored() -> None:
    sending = LogSending()
    assert sending.next_piece(100, 0) is None, "nothing is granted yet"
    sending.acknowledged(0, 60, 0)
    assert sending.next_piece(100, 0) == (0, 60)
    sending.sent(60, 0)
    assert sending.next_piece(100, RESEND_MS) is None
    assert sending.next_piece(100, RESEND_MS + 1) == (0, 60)
    sending.acknowledged(40, 100, RESEND_MS + 2)
    assert sending.next_piece(100, RESEND_MS + 2) == (40, 60)
    sending.opened(RESEND_MS + 3)
    assert sending.next_piece(100, RESEND_MS + 3) is None
