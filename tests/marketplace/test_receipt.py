import json
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace import base58, receipt_file
from neurogrid_marketplace.demand import MAX_TIMEOUT_S
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Event, Meter, Result, VoucherMessage
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.payment_chain import (
    MAX_LINKS,
    NO_VOUCHER,
    PaymentChain,
    extended,
    is_due,
    next_link,
)
from neurogrid_marketplace.receipt import MAX_RECEIPT_BYTES, Evidence, verify_receipt
from neurogrid_marketplace.receipt_file import ReceiptFile
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.receipt_kinds import contents_of

from .keys import person
from .story import (
    COORDINATOR,
    LEASE_ID,
    LOSER,
    METERED_MS,
    METERS_MS,
    NETWORK,
    TASK_ID,
    WINNER,
    evidence,
    honest_receipt,
    receipt,
    signed,
    statement,
    voucher,
)

T = TypeVar("T")

HONEST = honest_receipt()


def test_an_honest_receipt_says_item_by_item_what_it_is_worth() -> None:
    found = verify_receipt(HONEST)
    assert found.node_id == WINNER.peer_id
    assert found.result.outcome is Outcome.COMPLETED
    assert found.paid_micro_usdc == 625  # 75 s at the second score of 30,000 micro-USDC per hour
    assert {item.name: (item.proof.value, item.signed_by) for item in found.items} == {
        "receipt": ("proven", "coordinator"),
        "coordinator": ("proven", "coordinator"),
        "node": ("proven", "node"),
        "terms": ("proven", "coordinator"),
        "auction": ("proven", "each bidder"),
        "price_rule": ("proven", "coordinator, node"),
        "best_bid": ("claimed", "coordinator"),
        "agreement": ("proven", "coordinator, node"),
        "start": ("claimed", "node"),
        "result": ("proven", "node"),
        "outputs": ("proven", "node"),
        "execution": ("claimed", "node"),
        "escrow": ("proven", "coordinator"),
        "metering": ("proven", "node"),
        "vouchers": ("proven", "voucher key"),
        "vouchers_held": ("proven", "node"),
        "charge": ("proven", "coordinator, node"),
        "transaction": ("claimed", "coordinator, node"),
        "settlement": ("claimed", "coordinator"),
        "order": ("proven", "coordinator, node"),
        "clocks": ("claimed", "coordinator, node"),
    }


def test_what_a_receipt_lacks_is_said() -> None:
    parts, award = evidence(held=NO_VOUCHER)
    found = verify_receipt(receipt({**parts, "claimed": []}, statement(award)))
    items = {item.name: item for item in found.items}
    assert items["vouchers_held"].proof is Proof.ABSENT
    assert (items["transaction"].proof, items["transaction"].signed_by) == (
        Proof.CLAIMED,
        "coordinator",
    )


@given(st.integers(0, len(HONEST) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_changing_any_byte_is_found(place: int, difference: int) -> None:
    changed = bytearray(HONEST)
    changed[place] ^= difference
    with pytest.raises(ReceiptInvalid):
        verify_receipt(bytes(changed))


@given(st.integers(0, len(HONEST) - 1))
@settings(max_examples=50)
def test_a_truncated_receipt_is_found(length: int) -> None:
    with pytest.raises(ReceiptInvalid):
        verify_receipt(HONEST[:length])


@given(st.binary(max_size=300))
def test_garbage_is_no_receipt(data: bytes) -> None:
    with pytest.raises(ReceiptInvalid):
        verify_receipt(data)


def test_another_layout_of_the_same_content_is_no_receipt() -> None:
    with pytest.raises(ReceiptInvalid, match="byte form"):
        verify_receipt(json.dumps(json.loads(HONEST)).encode())


def test_a_market_may_use_all_64_bits_of_its_domain() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="64-bit"):
        verify_receipt(receipt(parts, statement(award, domain=2**64)))
    with pytest.raises(ReceiptInvalid, match="signature"):
        verify_receipt(receipt(parts, statement(award, domain=2**64 - 1)))


@pytest.mark.parametrize("version", [1, 3])
def test_a_receipt_of_another_version_is_refused_with_what_to_do(version: int) -> None:
    other = HONEST.replace(b'"version": 2\n}', b'"version": %d\n}' % version)
    with pytest.raises(ReceiptInvalid, match=rf"version {version}.*the release that wrote it"):
        verify_receipt(other)


def test_a_kind_of_link_that_is_not_known_is_named() -> None:
    links = [*contents_of(evidence()[0]), ("moonlight", {})]
    made = receipt_file.write(
        ReceiptFile(NETWORK, COORDINATOR.peer_id, TASK_ID, LEASE_ID, links), COORDINATOR.sign
    )
    with pytest.raises(ReceiptInvalid, match="'moonlight', which this program does not know"):
        verify_receipt(made)


def test_the_receipt_of_the_longest_lease_fits() -> None:
    """30 days at a voucher each second, with 65 bids and a manifest of 1,000 long names."""
    chain, links = PaymentChain(), 0
    metered_ms = 0
    while metered_ms < MAX_TIMEOUT_S * 1000:
        # The next moment at which a link is due; the vouchers between are not linked.
        metered_ms += max(1_000, metered_ms // 31)
        meter = Meter(LEASE_ID, metered_ms, 10**9, chain.head)
        assert is_due(chain, meter, 1)
        chain = extended(chain, voucher(10**9, link=next_link(chain, meter.hash())), meter)
        links += 1
    assert 350 < links < MAX_LINKS
    parts, award = evidence()
    outputs = tuple(OutputFile("x" * 128 + f"/{n}", "0" * 64, n) for n in range(1000))
    full: dict[str, Any] = {
        **evidence(result=Result(Outcome.COMPLETED, 0, "", METERED_MS, outputs))[0],
        "bid": [parts["bid"][0]] * 65,
        "meter": [parts["meter"][0]] * (MAX_LINKS + 1),
        "voucher": [parts["voucher"][0]] * (MAX_LINKS + 1),
    }
    assert len(receipt(full, statement(award))) < MAX_RECEIPT_BYTES


# What a dishonest coordinator could sign itself: each is caught by what others have signed.


def test_a_price_that_the_bids_do_not_give() -> None:
    parts, award = evidence(price_change=1_000)
    with pytest.raises(ReceiptInvalid, match="the bids give"):
        verify_receipt(receipt(parts, statement(award)))


def test_an_auction_with_start_factors_is_held_again_with_those_that_the_award_names() -> None:
    # 300 ms count as 30 s: three per cent of the maximum, which the winner is paid less.
    parts, award = evidence(factors=(100_000, 1000))
    assert award.price_micro_usdc_per_hour == 30_000 + 30 - 3_000
    found = verify_receipt(receipt(parts, statement(award)))
    assert found.price_micro_usdc_per_hour == 27_030
    (item,) = [item for item in found.items if item.name == "start_factors"]
    assert (item.proof, item.signed_by) == (Proof.CLAIMED, "coordinator")


def test_start_factors_that_the_award_does_not_name() -> None:
    parts, award = evidence(factors=(100_000, 1000), named=False)
    with pytest.raises(ReceiptInvalid, match="the bids give 30000"):
        verify_receipt(receipt(parts, statement(award)))


def test_a_start_factor_of_a_bid_that_is_not_there() -> None:
    parts, award = evidence()
    named = replace(award, start_factors_permille={"0" * 64: 2000})
    changed = {
        **parts,
        "award": [signed(COORDINATOR, WINNER, named)],
        "accept": [signed(WINNER, COORDINATOR, agreement(named))],
    }
    with pytest.raises(ReceiptInvalid, match="bid that is not there"):
        verify_receipt(receipt(changed, statement(named)))


def test_a_bid_left_out() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="bids are not those"):
        verify_receipt(receipt({**parts, "bid": parts["bid"][:1]}, statement(award)))


def test_a_forged_bid() -> None:
    parts, award = evidence()
    first, second = envelopes(parts, "bid")
    forged = replace(second, body={**second.body, "start_ms": 1})
    with pytest.raises(ReceiptInvalid, match="bid 1"):
        verify_receipt(receipt({**parts, "bid": [first, forged]}, statement(award)))


def test_an_accept_by_somebody_else() -> None:
    parts, award = evidence()
    other = signed(LOSER, COORDINATOR, agreement(award))
    with pytest.raises(ReceiptInvalid, match="not between this receipt's coordinator and the node"):
        verify_receipt(receipt({**parts, "accept": [other]}, statement(award)))


def test_an_award_offered_to_somebody_else() -> None:
    parts, award = evidence()
    other = signed(COORDINATOR, LOSER, award)
    with pytest.raises(ReceiptInvalid, match="award 0 was signed by"):
        verify_receipt(receipt({**parts, "award": [other]}, statement(award)))


def test_a_missing_event() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="does not follow"):
        verify_receipt(receipt({**parts, "event": parts["event"][1:]}, statement(award)))


def test_an_ending_without_a_result() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="do not end with a result"):
        verify_receipt(receipt({**parts, "event": parts["event"][:2]}, statement(award)))


def test_events_of_another_node() -> None:
    parts, award = evidence()
    first, *rest = envelopes(parts, "event")
    forged = replace(first, sender=LOSER.peer_id)
    with pytest.raises(ReceiptInvalid, match="event 0"):
        verify_receipt(receipt({**parts, "event": [forged, *rest]}, statement(award)))


def test_more_paid_than_signed() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="more was paid"):
        verify_receipt(receipt(parts, statement(award, paid_micro_usdc=626)))


def test_a_voucher_over_another_amount() -> None:
    parts, award = evidence()
    *others, final = vouchers(parts)
    forged = replace(final, cumulative_micro_usdc=final.cumulative_micro_usdc - 1)
    with pytest.raises(ReceiptInvalid, match=r"voucher 2: .*signature"):
        verify_receipt(receipt({**parts, "voucher": [*others, forged]}, statement(award)))


def test_the_escrow_of_another_lease() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="escrow"):
        verify_receipt(receipt(parts, statement(award, escrow_bump=255)))


def test_more_charged_than_the_metered_time_costs() -> None:
    parts, award = evidence(final_micro_usdc=626)
    with pytest.raises(ReceiptInvalid, match="more than the metered time costs"):
        verify_receipt(receipt(parts, statement(award)))


def test_what_a_job_that_is_not_charged_was_paid_before_is_within_what_it_metered() -> None:
    lost = Result(Outcome.ENGINE_LOST, -1, "", 0)
    within = cost_micro_usdc(30_000, METERS_MS[-1])
    parts, award = evidence(result=lost, final_micro_usdc=within)
    found = verify_receipt(receipt(parts, statement(award, paid_micro_usdc=within)))
    assert found.paid_micro_usdc == within
    parts, award = evidence(result=lost, final_micro_usdc=within + 1)
    with pytest.raises(ReceiptInvalid, match="more than the metered time costs"):
        verify_receipt(receipt(parts, statement(award, paid_micro_usdc=within)))


def test_a_receipt_signed_by_a_stranger() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="coordinator's signature"):
        verify_receipt(receipt(parts, statement(award), signer=person("stranger")))


def test_a_field_beside_the_statements_own_is_no_place_to_hide_words() -> None:
    parts, award = evidence()
    links = contents_of({**parts, "settlement": [statement(award)]})
    links[-1][1]["note"] = "paid in cash"  # type: ignore[index,call-overload]  # a statement is a map
    made = receipt_file.write(
        ReceiptFile(NETWORK, COORDINATOR.peer_id, TASK_ID, LEASE_ID, links), COORDINATOR.sign
    )
    with pytest.raises(ReceiptInvalid, match="not exactly the fields"):
        verify_receipt(made)


# Meters and vouchers: leaving one out, or changing their order, breaks what the other side has signed.


def test_no_subset_and_no_other_order_of_meters_and_vouchers_holds() -> None:
    """Whatever the coordinator leaves out, and however it signs the vouchers again."""
    parts, award = evidence()
    meters, ours = envelopes(parts, "meter"), vouchers(parts)
    last = envelopes(parts, "event")[-1]
    chosen = [(some, ours) for some in _arrangements(meters)]
    chosen += [(meters, others) for others in _arrangements(ours)]
    chosen += [
        (some, _chained_anew(some, others, last))
        for some in _arrangements(meters)
        for others in _subsets(ours)
    ]
    accepted = []
    for some, others in chosen:
        try:
            verify_receipt(receipt({**parts, "meter": some, "voucher": others}, statement(award)))
        except ReceiptInvalid:
            continue
        if (some, others) not in accepted:
            accepted.append((some, others))
    # The last meter's voucher was not linked; the final one took its place. Nobody loses by its absence.
    assert accepted == [(meters[:-1], ours), (meters, ours)]


def test_a_voucher_over_more_than_its_meter_says() -> None:
    parts, award = evidence()
    first, *rest = vouchers(parts)
    dear = voucher(first.cumulative_micro_usdc + 1, link=first.link)
    made = receipt({**parts, "voucher": [dear, *rest]}, statement(award))
    with pytest.raises(ReceiptInvalid):
        verify_receipt(made)


def test_a_voucher_that_the_node_held_when_the_run_ended_cannot_be_left_out() -> None:
    parts, award = evidence(held="5" * 64)
    with pytest.raises(ReceiptInvalid, match="the result names a voucher that is not here"):
        verify_receipt(receipt(parts, statement(award)))


def test_a_claim_of_another_transaction() -> None:
    parts, award = evidence()
    other = base58.encode(b"\x02" * 64)
    with pytest.raises(ReceiptInvalid, match="different transactions"):
        verify_receipt(receipt(parts, statement(award, transaction=other)))


def _arrangements(items: list[T]) -> list[list[T]]:
    """Every order of every subset."""
    return [list(some) for n in range(len(items) + 1) for some in permutations(items, n)]


def _subsets(items: list[T]) -> list[list[T]]:
    return [list(some) for n in range(len(items) + 1) for some in combinations(items, n)]


def _chained_anew(
    meters: list[Envelope], others: list[VoucherMessage], last: Envelope
) -> list[VoucherMessage]:
    """The same amounts, signed as if these had been all: what the coordinator's keys can do."""
    chain, made = PaymentChain(), []
    for number, old in enumerate(others):
        is_final = number == len(others) - 1
        answered = last if is_final or number >= len(meters) else meters[number]
        kind: type[Event | Meter] = Event if answered is last else Meter
        link = next_link(chain, decode(kind, answered.body).hash())
        made.append(voucher(old.cumulative_micro_usdc, final=is_final, link=link))
        chain = PaymentChain(number + 1, made[-1].hash())
    return made


def envelopes(parts: Evidence, kind: str) -> list[Envelope]:
    return [item for item in parts[kind] if isinstance(item, Envelope)]


def vouchers(parts: Evidence) -> list[VoucherMessage]:
    return [item for item in parts["voucher"] if isinstance(item, VoucherMessage)]
