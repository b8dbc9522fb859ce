"""The receipt of a lease: everything both sides signed, as one hash-linked, signed document.

    demand -> bids -> award -> accept -> events (with the result) -> settlement

`verify_receipt` needs nothing but the file. It says what the signatures prove and what is only
claimed (what ran inside the container, and that the transaction is on the chain, can't be proven by
a file). The file has exactly one valid byte form, so any changed byte is found.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from .canonical import Json, canonical_bytes, sha256_hex
from .envelope import Envelope, check_envelope, parse_envelope
from .errors import BadSignature, InvalidValue, MalformedMessage, ReceiptInvalid
from .fields import Id, decode, plain
from .identity import check_signature, public_key_of
from .messages import Result
from .money import format_usdc
from .receipt_checks import (
    SettlementStatement,
    check_agreement,
    check_money,
    check_ranking,
    check_run,
    escrow_job_id,
)

__all__ = [
    "Evidence",
    "SettlementStatement",
    "Verification",
    "build_receipt",
    "escrow_job_id",
    "verify_receipt",
]

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
    bids = ["bid"] * kinds.count("bid")
    events = ["event"] * kinds.count("event")
    if kinds != ["demand", *bids, "award", "accept", *events, "settlement"]:
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
    demand, award = check_agreement(
        envelopes("demand")[0], award_envelope, accept_envelope, coordinator, lease_id
    )
    ranked = check_ranking(envelopes("bid"), demand, award)
    if ranked.node_id != node_id:
        raise ReceiptInvalid("the lease was accepted by a node that did not place the winning bid")
    result = check_run(envelopes("event"), accept_envelope, lease_id)
    settlement = decode(SettlementStatement, links[-1][1])
    paid_words = check_money(settlement, award, result, lease_id)
    price = format_usdc(award.price_micro_usdc_per_hour)
    ran = f"{result.outcome.value}, exit code {result.exit_code}"
    seconds = f"{result.metered_ms / 1000:.3f} s metered"
    proven = (
        f"coordinator {coordinator} called for bids on job {award.job_hash[:16]}…",
        f"{len(bids)} signed bids; {node_id} was awarded at {price} USDC/h, as the rules give",
        f"{node_id} accepted these terms",
        f"{node_id} reported: {ran}, {seconds}, {len(result.outputs)} output files by hash",
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
