"""The rules that the parts of a receipt must keep together; `receipt` walks a file through them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .auction import Auction, RankedBid
from .bid import Bid
from .demand import Demand
from .envelope import Envelope
from .errors import ReceiptInvalid
from .faults import CONSEQUENCES
from .fields import (
    U64,
    Address,
    MicroUsdc,
    Millis,
    SignatureHex,
    TransactionSignature,
    decode,
)
from .identity import address_bytes, check_signature
from .messages import Accept, Award, Event, EventKind, Result
from .money import cost_micro_usdc, format_usdc
from .voucher import Voucher


@dataclass(frozen=True, slots=True)
class SettlementStatement:
    """What the coordinator states about the money of a lease.

    Attributes:
        client: owner of the client account; client_account, escrow: program addresses.
        escrow_bump: with it anybody can derive the escrow from the client account and the lease.
        voucher_signature: over the final cumulative amount; all zero where nothing was signed.
        transaction: that closed the escrow.
        paid_micro_usdc: what left the client's account, the market's fee included.
    """

    program_id: Address
    domain: U64
    client: Address
    client_account: Address
    escrow: Address
    escrow_bump: Annotated[int, Meta(ge=0, le=255)]
    escrow_sequence: U64
    voucher_signer: Address
    cumulative_micro_usdc: MicroUsdc
    voucher_signature: SignatureHex
    transaction: TransactionSignature
    paid_micro_usdc: MicroUsdc
    closed_at_ms: Millis


def escrow_job_id(lease_id: str) -> bytes:
    """The 32-byte job id under which a lease's escrow is opened."""
    return hashlib.sha256(f"neurogrid:lease:{lease_id}".encode()).digest()


def check_agreement(
    demand_envelope: Envelope,
    award_envelope: Envelope,
    accept: Envelope,
    coordinator: str,
    lease: str,
) -> tuple[Demand, Award]:
    """Demand, award and accept belong together and to this lease."""
    demand = decode(Demand, demand_envelope.body)
    award = decode(Award, award_envelope.body)
    accepted = decode(Accept, accept.body)
    if demand_envelope.sender != coordinator or award_envelope.sender != coordinator:
        raise ReceiptInvalid("demand or award was not signed by this receipt's coordinator")
    if award.demand_hash != demand.hash() or award.demand_id != demand.demand_id:
        raise ReceiptInvalid("the award is for another demand")
    if award.job_hash != demand.job_hash or award.timeout_s != demand.timeout_s:
        raise ReceiptInvalid("the award changes what was demanded")
    if award.lease_id != lease or accepted.lease_id != lease:
        raise ReceiptInvalid("award or accept is for another lease")
    if accepted.award_hash != award.hash() or accept.sender != award_envelope.recipient:
        raise ReceiptInvalid("what was accepted is not this award")
    return demand, award


def check_ranking(envelopes: Sequence[Envelope], demand: Demand, award: Award) -> RankedBid:
    """Hold the auction again and find the awarded bid in it."""
    hashes = {envelope.hash() for envelope in envelopes}
    if hashes != {award.bid_hash, *award.other_bid_hashes} or len(hashes) != len(envelopes):
        raise ReceiptInvalid("the bids are not those that the award names")
    auction = Auction(
        demand.max_price_micro_usdc_per_hour, frozenset(envelope.sender for envelope in envelopes)
    )
    for envelope in envelopes:
        bid = decode(Bid, envelope.body)
        if bid.demand_hash != demand.hash():
            raise ReceiptInvalid(f"the bid of {envelope.sender} is for another demand")
        auction.bid(envelope.sender, bid, envelope.hash())
    for ranked in auction.ranking():
        if ranked.bid_hash == award.bid_hash:
            if ranked.award_price_micro_usdc_per_hour != award.price_micro_usdc_per_hour:
                raise ReceiptInvalid(
                    f"awarded at {award.price_micro_usdc_per_hour} micro-USDC/h; the bids give "
                    f"{ranked.award_price_micro_usdc_per_hour}"
                )
            return ranked
    raise ReceiptInvalid("the awarded bid was above the client's maximum")


def check_run(envelopes: Sequence[Envelope], accept: Envelope, lease_id: str) -> Result:
    """The events follow one another and end with a result."""
    previous = decode(Accept, accept.body).hash()
    last: Event | None = None
    for number, envelope in enumerate(envelopes):
        event = decode(Event, envelope.body)
        if envelope.sender != accept.sender or event.lease_id != lease_id:
            raise ReceiptInvalid(f"event {number} is not of this lease")
        if event.number != number or event.previous_hash != previous:
            raise ReceiptInvalid(f"event {number} does not follow the one before it")
        previous = event.hash()
        last = event
    if last is None or last.kind is not EventKind.FINISHED or last.result is None:
        raise ReceiptInvalid("the events do not end with a result")
    return last.result


def check_money(
    settlement: SettlementStatement, award: Award, result: Result, lease_id: str
) -> tuple[str, ...]:
    """Check escrow, voucher and amount; say what they prove."""
    derived = hashlib.sha256(
        b"escrow"
        + address_bytes(settlement.client_account)
        + escrow_job_id(lease_id)
        + bytes([settlement.escrow_bump])
        + address_bytes(settlement.program_id)
        + b"ProgramDerivedAddress"
    ).digest()
    escrow = address_bytes(settlement.escrow)
    if derived != escrow:
        raise ReceiptInvalid("the escrow's address does not belong to this lease")
    amount = settlement.cumulative_micro_usdc
    if settlement.paid_micro_usdc > amount or amount > award.max_cost_micro_usdc:
        raise ReceiptInvalid("more was paid than was signed or held in escrow")
    words = [f"escrow {settlement.escrow} is the one of this lease"]
    if amount:
        voucher = Voucher(settlement.domain, escrow, settlement.escrow_sequence, amount)
        check_signature(
            address_bytes(settlement.voucher_signer),
            voucher.message(),
            bytes.fromhex(settlement.voucher_signature),
        )
        words.append(f"a voucher over {format_usdc(amount)} USDC was signed for it")
    metered = min(
        cost_micro_usdc(award.price_micro_usdc_per_hour, result.metered_ms),
        award.max_cost_micro_usdc,
    )
    if CONSEQUENCES[result.outcome].charged:
        if amount > metered:
            raise ReceiptInvalid("the voucher is over more than the metered time costs")
        words.append(
            f"that is at most the metered time at the agreed price ({format_usdc(metered)})"
        )
    return tuple(words)
