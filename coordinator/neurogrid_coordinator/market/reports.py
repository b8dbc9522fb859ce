"""What the market tells the api, as values of both processes.

`to_wire` and the `*_from_wire` functions carry them over the socket between the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.bid import Decline
from neurogrid_marketplace.envelope import Envelope, parse_envelope
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.offer import LeaseStatus, Offer
from neurogrid_marketplace.usage import GpuUse

ACCEPTED = "accepted"
NO_ANSWER = "no_answer"
UNREACHABLE = "unreachable"
BAD_ANSWER = "bad_answer"


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the market process has to do with, as of a few seconds ago.

    Attributes:
        connections: of nodes and strangers, those in their handshake included.
        lease_streams: streams of leases, of all nodes.
        refused: how many were refused or cut off since it started, by reason (`gate.Refusal`).
    """

    connections: int = 0
    lease_streams: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A connected node as the market knows it.

    Attributes:
        offer: its latest; ``offer.free`` and ``offer.accepting`` follow its heartbeats.
        connected_since_ms: Unix milliseconds.
        last_heard_ms: when its latest message arrived, Unix milliseconds.
        leases: as of its latest heartbeat.
        gpus: how those that it offers are, as of its latest heartbeat.
    """

    offer: Offer
    connected_since_ms: int
    last_heard_ms: int
    leases: tuple[LeaseStatus, ...]
    gpus: tuple[GpuUse, ...] = ()


@dataclass(frozen=True, slots=True)
class AuctionReport:
    """One auction, with the evidence.

    Attributes:
        demands: node id -> the signed demand that it was sent. They differ in their envelopes
            only; bids refer to `Demand.hash`.
        ranking: bids, best first, each with the price it would be paid.
        bids: node id -> the envelope of its bid, for every bid in ``ranking``.
        declines: node id -> why it did not bid.
        commits: node id -> the envelope of its commitment, in a sealed auction.
        reveals: node id -> the signed list of commitments that it was sent then.
        explanation: how the demand met the market; where anybody was asked, ``survivors`` and
            ``nearest`` are left out and ``matching`` counts no further than the pool, because to
            know more is to look at every node.
    """

    demands: Mapping[str, Envelope]
    ranking: tuple[RankedBid, ...]
    bids: Mapping[str, Envelope]
    declines: Mapping[str, Decline]
    explanation: Explanation
    commits: Mapping[str, Envelope] = field(default_factory=dict)
    reveals: Mapping[str, Envelope] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AwardReport:
    """What a node said to an award.

    Attributes:
        award: what it was sent; None if it was not connected.
        answer: its accept or deny; None if it gave none in time.
        code: ``accepted``, a `DeclineCode`, ``no_answer``, ``unreachable``, or ``bad_answer``
            for an accept of other terms.
    """

    award: Envelope | None
    answer: Envelope | None
    accepted: bool
    code: str


def auction_to_wire(report: AuctionReport) -> dict[str, object]:
    """For the socket."""
    return {
        "demands": {node_id: item.to_dict() for node_id, item in report.demands.items()},
        "ranking": [plain(ranked) for ranked in report.ranking],
        "bids": {node_id: item.to_dict() for node_id, item in report.bids.items()},
        "declines": {node_id: plain(item) for node_id, item in report.declines.items()},
        "explanation": plain(report.explanation),
        "commits": {node_id: item.to_dict() for node_id, item in report.commits.items()},
        "reveals": {node_id: item.to_dict() for node_id, item in report.reveals.items()},
    }


def auction_from_wire(value: dict[str, object]) -> AuctionReport:
    """Inverse of `auction_to_wire`."""
    return AuctionReport(
        demands=_envelopes(value["demands"]),
        ranking=decode(tuple[RankedBid, ...], value["ranking"]),
        bids=_envelopes(value["bids"]),
        declines=decode(dict[str, Decline], value["declines"]),
        explanation=decode(Explanation, value["explanation"]),
        commits=_envelopes(value["commits"]),
        reveals=_envelopes(value["reveals"]),
    )


def award_to_wire(report: AwardReport) -> dict[str, object]:
    """For the socket."""
    return {
        "award": report.award.to_dict() if report.award else None,
        "answer": report.answer.to_dict() if report.answer else None,
        "accepted": report.accepted,
        "code": report.code,
    }


def award_from_wire(value: dict[str, object]) -> AwardReport:
    """Inverse of `award_to_wire`."""
    return AwardReport(
        award=parse_envelope(value["award"]) if value["award"] is not None else None,
        answer=parse_envelope(value["answer"]) if value["answer"] is not None else None,
        accepted=decode(bool, value["accepted"]),
        code=decode(str, value["code"]),
    )


def _envelopes(value: object) -> dict[str, Envelope]:
    return {
        node_id: parse_envelope(item)
        for node_id, item in decode(dict[str, dict[str, object]], value).items()
    }
