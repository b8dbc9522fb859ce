"""The receipt of a lease: everything both sides signed, as one hash-linked, signed document.

    demand -> bids -> award -> accept -> events (with the result) -> settlement

`verify_receipt` needs nothing but the file. It says what the signatures prove and what is only
claimed (what ran inside the container, and that the transaction is on the chain, can't be proven by
a file). The file has exactly one valid byte form, so any changed byte is found.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .auction import Auction, RankedBid
from .bid import Bid
from .canonical import Json, canonical_bytes, sha256_hex
from .demand import Demand
from .envelope import Envelope, check_envelope, parse_envelope
from .errors import BadSignature, InvalidValue, MalformedMessage, ReceiptInvalid
from .faults import CONSEQUENCES
from .fields import (
    Address,
    Id,
    MicroUsdc,
    Millis,
    SignatureHex,
    TransactionSignature,
    decode,
    plain,
)
from .identity import address_bytes, check_signature, public_key_of
from .messages import Accept, Award, Event, EventKind, Result, parse_body
from .money import cost_micro_usdc, format_usdc
from .voucher import Voucher

VERSION = 1
# A receipt holds at most one demand, 64 bids, three events with one manifest of 1,000 files.
MAX_RECEIPT_BYTES = 4 * 1024 * 1024
_DOMAIN = b"neurogrid:receipt:v1\0"
_TOP = {"coordinator", "lease_id", "links", "network", "signature", "task_id", "version"}
_LINK = {"content", "hash", "kind", "previous"}
_NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signed messages of one lease, as they were received or sent."""

    demand: Envelope
    bids: tuple[Envelope, ...]
    award: Envelope
    accept: Envelope
    events: tuple[Envelope, ...]


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
    domain: Millis
    client: Address
    client_account: Address
    escrow: Address
    escrow_bump: Annotated[int, Meta(ge=0, le=255)]
    escrow_sequence: Millis
    voucher_signer: Address
    cumulative_micro_usdc: MicroUsdc
    voucher_signature: SignatureHex
    transaction: TransactionSignature
    paid_micro_usdc: MicroUsdc
    closed_at_ms: Millis


@dataclass(frozen=True, slots=True)
class Verification:
    """What a valid receipt shows.

    Attributes:
        proven: follows from signatures and hashes alone.
        claimed: stated by one side, not provable from the file.
        paid_micro_usdc: what the client paid.
    """

    network: str
    task_id: Id
    lease_id: Id
    coordinator: str
    node_id: str
    result: Result
    price_micro_usdc_per_hour: int
    paid_micro_usdc: int
    transaction: str
    proven: tuple[str, ...]
    claimed: tuple[str, ...]


def escrow_job_id(lease_id: str) -> bytes:
    """The 32-byte job id under which a lease's escrow is opened."""
    return hashlib.sha256(f"neurogrid:lease:{lease_id}".encode()).digest()


def build_receipt(
    sign: Callable[[bytes], bytes],
    *,
    network: str,
    coordinator: str,
    task_id: str,
    lease_id: str,
    evidence: Evidence,
    settlement: SettlementStatement,
) -> bytes:
    """The receipt file; ``sign`` signs with the coordinator's identity key."""
    links: list[Json] = []
    previous = _NO_HASH

    def link(kind: str, content: Json) -> None:
        nonlocal previous
        body: dict[str, Json] = {"kind": kind, "content": content, "previous": previous}
        previous = sha256_hex(body)
        links.append({**body, "hash": previous})

    link("demand", evidence.demand.to_dict())
    for bid in evidence.bids:
        link("bid", bid.to_dict())
    link("award", evidence.award.to_dict())
    link("accept", evidence.accept.to_dict())
    for event in evidence.events:
        link("event", event.to_dict())
    link("settlement", plain(settlement))
    unsigned: dict[str, Json] = {
        "version": VERSION,
        "network": network,
        "coordinator": coordinator,
        "task_id": task_id,
        "lease_id": lease_id,
        "links": links,
    }
    signature = sign(_DOMAIN + canonical_bytes(unsigned)).hex()
    return _file_form({**unsigned, "signature": signature})


def verify_receipt(data: bytes) -> Verification:
    """Check a receipt file.

    Raises:
        ReceiptInvalid: the first thing that does not hold, in words.
    """
    document = _parse(data)
    try:
        return _verify(document)
    except (MalformedMessage, BadSignature, InvalidValue) as error:
        raise ReceiptInvalid(str(error)) from error


def _verify(document: dict[str, Json]) -> Verification:
    coordinator = _text(document, "coordinator")
    network = _text(document, "network")
    task_id, lease_id = _text(document, "task_id"), _text(document, "lease_id")
    unsigned = {name: value for name, value in document.items() if name != "signature"}
    signature = decode_hex(_text(document, "signature"))
    try:
        check_signature(public_key_of(coordinator), _DOMAIN + canonical_bytes(unsigned), signature)
    except BadSignature as error:
        raise ReceiptInvalid("the coordinator's signature over the receipt fails") from error
    links = _links(document["links"])
    kinds = [kind for kind, _ in links]
    bids_count, events_count = kinds.count("bid"), kinds.count("event")
    if kinds != ["demand", *["bid"] * bids_count, "award", "accept", *["event"] * events_count] + [
        "settlement"
    ]:
        raise ReceiptInvalid("the links are not in the order of a lease")

    def envelopes(kind: str) -> list[Envelope]:
        found = [parse_envelope(content) for name, content in links if name == kind]
        for number, envelope in enumerate(found):
            try:
                check_envelope(envelope, network)
            except BadSignature as error:
                raise ReceiptInvalid(f"{kind} {number}: {error}") from error
            if envelope.type != kind:
                raise ReceiptInvalid(f"a {envelope.type} stands where a {kind} should")
        return found

    award_envelope, accept_envelope = envelopes("award")[0], envelopes("accept")[0]
    node_id = accept_envelope.sender
    demand, award = _agreement(
        envelopes("demand")[0], award_envelope, accept_envelope, coordinator, lease_id
    )
    ranked = _ranking(envelopes("bid"), demand, award)
    if ranked.node_id != node_id:
        raise ReceiptInvalid("the lease was accepted by a node that did not place the winning bid")
    result = _run(envelopes("event"), accept_envelope, lease_id)
    settlement = decode(SettlementStatement, links[-1][1])
    paid_words = _money(settlement, award, result, lease_id)
    proven = (
        f"coordinator {coordinator} called for bids on job {award.job_hash[:16]}…",
        f"{bids_count} signed bids; {node_id} was awarded at "
        f"{format_usdc(award.price_micro_usdc_per_hour)} USDC/h, the price the rules give",
        f"{node_id} accepted these terms",
        f"{node_id} reported: {result.outcome.value}, exit code {result.exit_code}, "
        f"{result.metered_ms / 1000:.3f} s metered, {len(result.outputs)} output files by hash",
        *paid_words,
    )
    claimed = (
        "that the program really ran as reported (no proof of execution is attached)",
        f"that transaction {settlement.transaction} is final on the chain (look it up there)",
    )
    return Verification(
        network=network,
        task_id=task_id,
        lease_id=lease_id,
        coordinator=coordinator,
        node_id=node_id,
        result=result,
        price_micro_usdc_per_hour=award.price_micro_usdc_per_hour,
        paid_micro_usdc=settlement.paid_micro_usdc,
        transaction=settlement.transaction,
        proven=proven,
        claimed=claimed,
    )


def _agreement(
    demand_envelope: Envelope,
    award_envelope: Envelope,
    accept: Envelope,
    coordinator: str,
    lease: str,
) -> tuple[Demand, Award]:
    demand = parse_body("demand", demand_envelope.body)
    award = parse_body("award", award_envelope.body)
    accepted = parse_body("accept", accept.body)
    assert isinstance(demand, Demand) and isinstance(award, Award) and isinstance(accepted, Accept)
    if demand_envelope.sender != coordinator or award_envelope.sender != coordinator:
        raise ReceiptInvalid("demand or award was not signed by this receipt's coordinator")
    if award.demand_hash != demand.hash() or award.demand_id != demand.demand_id:
        raise ReceiptInvalid("the award is for another demand")
    if award.job_hash != demand.job_hash or award.timeout_s != demand.timeout_s:
        raise ReceiptInvalid("the award changes what was demanded")
    if award.lease_id != lease or accepted.lease_id != lease:
        raise ReceiptInvalid("award or accept is for another lease")
    if accepted.award_hash != award_envelope.hash() or accept.sender != award_envelope.recipient:
        raise ReceiptInvalid("what was accepted is not this award")
    return demand, award


def _ranking(envelopes: Sequence[Envelope], demand: Demand, award: Award) -> RankedBid:
    """Hold the auction again and find the awarded bid in it."""
    hashes = {envelope.hash() for envelope in envelopes}
    if hashes != {award.bid_hash, *award.other_bid_hashes} or len(hashes) != len(envelopes):
        raise ReceiptInvalid("the bids are not those that the award names")
    auction = Auction(
        demand.max_price_micro_usdc_per_hour, frozenset(envelope.sender for envelope in envelopes)
    )
    for envelope in envelopes:
        bid = parse_body("bid", envelope.body)
        assert isinstance(bid, Bid)
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


def _run(envelopes: Sequence[Envelope], accept: Envelope, lease_id: str) -> Result:
    previous = accept.hash()
    last: Event | None = None
    for number, envelope in enumerate(envelopes):
        event = parse_body("event", envelope.body)
        assert isinstance(event, Event)
        if envelope.sender != accept.sender or event.lease_id != lease_id:
            raise ReceiptInvalid(f"event {number} is not of this lease")
        if event.number != number or event.previous_hash != previous:
            raise ReceiptInvalid(f"event {number} does not follow the one before it")
        previous = sha256_hex(plain(event))
        last = event
    if last is None or last.kind is not EventKind.FINISHED or last.result is None:
        raise ReceiptInvalid("the events do not end with a result")
    return last.result


def _money(
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


def _links(value: Json) -> list[tuple[str, Json]]:
    if not isinstance(value, list):
        raise ReceiptInvalid("links is not a list")
    previous = _NO_HASH
    links: list[tuple[str, Json]] = []
    for number, item in enumerate(value):
        if not isinstance(item, dict) or set(item) != _LINK or not isinstance(item["kind"], str):
            raise ReceiptInvalid(f"link {number} has not exactly the fields {sorted(_LINK)}")
        body: dict[str, Json] = {name: item[name] for name in ("kind", "content", "previous")}
        if item["previous"] != previous or item["hash"] != sha256_hex(body):
            raise ReceiptInvalid(f"link {number} ({item['kind']}) breaks the hash chain")
        previous = item["hash"]
        links.append((item["kind"], item["content"]))
    return links


def _parse(data: bytes) -> dict[str, Json]:
    if len(data) > MAX_RECEIPT_BYTES:
        raise ReceiptInvalid(f"larger than {MAX_RECEIPT_BYTES} bytes")
    try:
        document = json.loads(data.decode())
        if not isinstance(document, dict) or set(document) != _TOP:
            raise ReceiptInvalid(f"a receipt has exactly the fields {sorted(_TOP)}")
        canonical = _file_form(document)
    except (ValueError, RecursionError) as error:
        raise ReceiptInvalid(f"not the JSON of a receipt: {error}") from error
    if document["version"] != VERSION or isinstance(document["version"], bool):
        raise ReceiptInvalid(f"receipt version {document['version']}; this program knows {VERSION}")
    if canonical != data:
        place = next(
            (i for i, (a, b) in enumerate(zip(canonical, data, strict=False)) if a != b),
            min(len(canonical), len(data)),
        )
        raise ReceiptInvalid(f"not in the one valid byte form, from byte {place} on")
    return document


def _file_form(document: dict[str, Json]) -> bytes:
    """The one valid byte form: sorted keys, two spaces, one newline at the end."""
    canonical_bytes(document)  # refuses floats and whatever else has no canonical form
    return (json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _text(document: dict[str, Json], name: str) -> str:
    value = document[name]
    if not isinstance(value, str):
        raise ReceiptInvalid(f"{name} is not a string")
    return value


def decode_hex(text: str) -> bytes:
    """Lower-case hex only, so that a signature has one spelling."""
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise ReceiptInvalid("a signature is not hex") from error
    if raw.hex() != text:
        raise ReceiptInvalid("a signature is not lower-case hex")
    return raw
