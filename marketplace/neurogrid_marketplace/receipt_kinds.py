"""The links of a receipt: the table of their kinds, and how their contents are read.

A new kind of evidence is a row of `KINDS` and a check in `receipt_items.CHECKS`; nothing else knows
the kinds. The order of the table is the order in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta

from .bid import Bid
from .canonical import Json
from .demand import Demand
from .envelope import Envelope, check_envelope, parse_envelope
from .errors import BadSignature, ReceiptInvalid
from .fields import (
    OMITTED,
    U64,
    Address,
    MicroUsdc,
    Millis,
    TransactionSignature,
    decode,
    plain,
)
from .messages import Accept, Award, Claimed, Event, Meter, VoucherMessage
from .payment_chain import MAX_LINKS
from .sealing import Commit, Reveal
from .units import Units

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SettlementStatement:
    """What the coordinator states about the money of a lease.

    Attributes:
        client: owner of the client account; client_account, escrow: program addresses.
        escrow_bump: with it anybody can derive the escrow from the client account and the lease.
        transaction: that closed the escrow.
        paid_micro_usdc: what left the client's account, the market's fee included.
        billed: of a use lease: what was passed on to the client, as the coordinator counted.
    """

    program_id: Address
    domain: U64
    client: Address
    client_account: Address
    escrow: Address
    escrow_bump: Annotated[int, Meta(ge=0, le=255)]
    escrow_sequence: U64
    voucher_signer: Address
    transaction: TransactionSignature
    paid_micro_usdc: MicroUsdc
    closed_at_ms: Millis
    billed: Units | None = field(default=None, metadata=OMITTED)


class Signer(StrEnum):
    """Whose signature a link carries."""

    COORDINATOR = "coordinator"
    NODE = "node"
    ANY_NODE = "any node"
    # No envelope: the receipt's own signature covers it, and what else is signed stands inside.
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of link.

    Attributes:
        name: as it stands in the file; for an envelope also its type.
        message: what the content, or the envelope's body, is read as.
        least, most: how many a receipt has.
    """

    name: str
    message: type[Any]
    signer: Signer
    least: int
    most: int


KINDS = (
    Kind("demand", Demand, Signer.COORDINATOR, 1, 1),
    Kind("commit", Commit, Signer.ANY_NODE, 0, 65),
    Kind("reveal", Reveal, Signer.COORDINATOR, 0, 1),
    Kind("bid", Bid, Signer.ANY_NODE, 1, 65),
    Kind("award", Award, Signer.COORDINATOR, 1, 1),
    Kind("accept", Accept, Signer.NODE, 1, 1),
    Kind("event", Event, Signer.NODE, 1, 4),
    Kind("meter", Meter, Signer.NODE, 0, MAX_LINKS + 1),
    Kind("voucher", VoucherMessage, Signer.RECEIPT, 1, MAX_LINKS + 1),
    Kind("claimed", Claimed, Signer.NODE, 0, 1),
    Kind("settlement", SettlementStatement, Signer.RECEIPT, 1, 1),
)

# What a receipt is made from: by kind, envelopes as they travelled, or what the coordinator states.
Evidence = Mapping[str, Sequence[Envelope | VoucherMessage | SettlementStatement]]


@dataclass(frozen=True, slots=True)
class Link(Generic[T]):
    """One link as read; ``envelope`` is None where the receipt's own signature covers it."""

    message: T
    envelope: Envelope | None

    @property
    def signed(self) -> Envelope:
        """The envelope of a kind that has one."""
        assert self.envelope is not None, "only for kinds that travel in an envelope"
        return self.envelope


@dataclass(frozen=True, slots=True)
class Parts:
    """A receipt whose signatures hold: what is left to check is whether its parts fit.

    Attributes:
        node_id: who signed the accept.
    """

    network: str
    coordinator: str
    task_id: str
    lease_id: str
    node_id: str
    links: Mapping[type[Any], Sequence[Link[Any]]]

    def all(self, message: type[T]) -> Sequence[Link[T]]:
        """The links whose content is this, in order."""
        return self.links[message]

    def one(self, message: type[T]) -> Link[T]:
        """The link of a kind that every receipt has once."""
        return self.links[message][0]

    @property
    def agreed(self) -> Award:
        """The terms that both sides have signed."""
        return self.one(Award).message

    @property
    def settlement(self) -> SettlementStatement:
        """What the coordinator states of the money."""
        return self.one(SettlementStatement).message


def contents_of(evidence: Evidence, kinds: Sequence[Kind] = KINDS) -> list[tuple[str, Json]]:
    """Kind and content of every link, in the order of a receipt."""
    unknown = set(evidence) - {kind.name for kind in kinds}
    assert not unknown, f"no links are called {unknown}"
    return [
        (kind.name, item.to_dict() if isinstance(item, Envelope) else plain(item))
        for kind in kinds
        for item in evidence.get(kind.name, ())
    ]


def read_links(
    contents: Sequence[tuple[str, Json]],
    *,
    network: str,
    coordinator: str,
    task_id: str,
    lease_id: str,
    kinds: Sequence[Kind] = KINDS,
) -> Parts:
    """Check order and number of the links, and every signature.

    Args:
        kinds: those of a receipt, or fewer; an accept among them.

    Raises:
        ReceiptInvalid: what does not hold.
        MalformedMessage: a content that is not of its kind.
    """
    names = [name for name, _ in contents]
    known = [kind.name for kind in kinds]
    for number, name in enumerate(names):
        if name not in known:
            raise ReceiptInvalid(
                f"link {number} is a {name[:40]!r}, which this program does not know: "
                "verify it with the release that wrote it"
            )
    if names != sorted(names, key=known.index):
        raise ReceiptInvalid(f"the links are not in the order {', '.join(known)}")
    links: dict[type[Any], list[Link[Any]]] = {}
    for kind in kinds:
        found = [content for name, content in contents if name == kind.name]
        if not kind.least <= len(found) <= kind.most:
            raise ReceiptInvalid(
                f"{len(found)} links are a {kind.name}; a receipt has {kind.least} to {kind.most}"
            )
        links[kind.message] = [
            _read(kind, number, content, network) for number, content in enumerate(found)
        ]
    node_id = links[Accept][0].signed.sender
    for kind in kinds:
        for number, link in enumerate(links[kind.message]):
            _check_parties(kind, number, link, coordinator, node_id)
    return Parts(network, coordinator, task_id, lease_id, node_id, links)


def _read(kind: Kind, number: int, content: Json, network: str) -> Link[Any]:
    if kind.signer is Signer.RECEIPT:
        message = decode(kind.message, content)
        # Fields that nobody reads could say anything.
        if plain(message) != content:
            raise ReceiptInvalid(f"{kind.name} {number} has not exactly the fields of its kind")
        return Link(message, None)
    envelope = parse_envelope(content)
    try:
        check_envelope(envelope, network)
    except BadSignature as error:
        raise ReceiptInvalid(f"{kind.name} {number}: {error}") from error
    if envelope.type != kind.name:
        raise ReceiptInvalid(f"a {envelope.type} stands where a {kind.name} should")
    return Link(decode(kind.message, envelope.body), envelope)


def _check_parties(
    kind: Kind, number: int, link: Link[Any], coordinator: str, node_id: str
) -> None:
    if link.envelope is None:
        return
    sender, recipient = link.envelope.sender, link.envelope.recipient
    match kind.signer:
        case Signer.COORDINATOR:
            fits = (sender, recipient) == (coordinator, node_id)
        case Signer.NODE:
            fits = (sender, recipient) == (node_id, coordinator)
        case _:
            fits = recipient == coordinator
    if not fits:
        raise ReceiptInvalid(
            f"{kind.name} {number} was signed by {sender} for {recipient}: "
            f"not between this receipt's coordinator and the node that accepted"
        )
