import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.errors import ReceiptInvalid
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import address_bytes
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.voucher import Voucher

from .keys import person
from .story import (
    COORDINATOR,
    LOSER,
    SESSION_KEY,
    WINNER,
    evidence,
    honest_receipt,
    receipt,
    signed,
    statement,
)

HONEST = honest_receipt()


def test_an_honest_receipt_says_what_is_proven_and_what_is_only_claimed() -> None:
    found = verify_receipt(HONEST)
    assert found.node_id == WINNER.peer_id
    assert found.result.outcome is Outcome.COMPLETED
    assert found.paid_micro_usdc == 30  # 3.6 s at the second score of 30,000 micro-USDC per hour
    assert any("voucher" in line for line in found.proven)
    assert any("chain" in line for line in found.claimed)


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
    honest = statement(award)
    for domain, holds in ((2**64 - 1, True), (2**64, False)):
        amount = honest.cumulative_micro_usdc
        voucher = Voucher(domain % 2**64, address_bytes(honest.escrow), 3, amount)
        signature = SESSION_KEY.sign(voucher.message()).hex()
        made = receipt(parts, replace(honest, domain=domain, voucher_signature=signature))
        if holds:
            assert verify_receipt(made).paid_micro_usdc == amount
        else:
            with pytest.raises(ReceiptInvalid, match="64-bit"):
                verify_receipt(made)


# What a dishonest coordinator could sign itself: each is caught by what others have signed.


def test_a_price_that_the_bids_do_not_give() -> None:
    parts, award = evidence(price_change=1_000)
    with pytest.raises(ReceiptInvalid, match="the bids give"):
        verify_receipt(receipt(parts, statement(award)))


def test_a_bid_left_out() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="bids are not those"):
        verify_receipt(receipt(replace(parts, bids=parts.bids[:1]), statement(award)))


def test_a_forged_bid() -> None:
    parts, award = evidence()
    forged = replace(parts.bids[1], body={**parts.bids[1].body, "start_ms": 1})
    with pytest.raises(ReceiptInvalid, match="bid 1"):
        verify_receipt(receipt(replace(parts, bids=(parts.bids[0], forged)), statement(award)))


def test_an_accept_by_somebody_else() -> None:
    parts, award = evidence()
    from neurogrid_marketplace.execution import agreement

    other = signed(LOSER, COORDINATOR, agreement(award))
    with pytest.raises(ReceiptInvalid, match="not this award"):
        verify_receipt(receipt(replace(parts, accept=other), statement(award)))


def test_a_missing_event() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="does not follow"):
        verify_receipt(receipt(replace(parts, events=parts.events[1:]), statement(award)))


def test_an_ending_without_a_result() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="do not end with a result"):
        verify_receipt(receipt(replace(parts, events=parts.events[:2]), statement(award)))


def test_events_of_another_node() -> None:
    parts, award = evidence()
    forged = replace(parts.events[0], sender=LOSER.peer_id)
    with pytest.raises(ReceiptInvalid, match="event 0"):
        verify_receipt(
            receipt(replace(parts, events=(forged, *parts.events[1:])), statement(award))
        )


def test_more_paid_than_signed() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="more was paid"):
        verify_receipt(receipt(parts, statement(award, paid_micro_usdc=31)))


def test_a_voucher_over_another_amount() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="signature"):
        verify_receipt(
            receipt(parts, statement(award, cumulative_micro_usdc=29, paid_micro_usdc=29))
        )


def test_the_escrow_of_another_lease() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="escrow"):
        verify_receipt(receipt(parts, statement(award, escrow_bump=255)))


def test_more_charged_than_the_metered_time_costs() -> None:
    parts, award = evidence(result=Result(Outcome.COMPLETED, 0, "", 1_000))
    with pytest.raises(ReceiptInvalid, match="metered"):
        verify_receipt(receipt(parts, statement(award)))


def test_a_receipt_signed_by_a_stranger() -> None:
    parts, award = evidence()
    with pytest.raises(ReceiptInvalid, match="coordinator's signature"):
        verify_receipt(receipt(parts, statement(award), signer=person("stranger")))
