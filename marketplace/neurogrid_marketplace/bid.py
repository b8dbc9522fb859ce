"""Answers to a demand: a bid, or a decline with a code that explains it."""

from dataclasses import dataclass, field
from enum import StrEnum

from .fields import OMITTED, Address, Bytes, Id, MaybeSha256, MicroUsdc, Millis, Sha256, Text
from .spot import ReclaimWindowS
from .units import UnitPrices


class DeclineCode(StrEnum):
    """Why a node does not bid, or does not take what it won; `MEANINGS` says what each means."""

    BUSY = "busy"
    NOT_ACCEPTING = "not_accepting"
    DOES_NOT_FIT = "does_not_fit"
    PRICE_TOO_LOW = "price_too_low"
    IMAGE_NOT_ALLOWED = "image_not_allowed"
    TOO_LONG = "too_long"
    RESERVATION_EXPIRED = "reservation_expired"
    TERMS_CHANGED = "terms_changed"
    NOT_READY = "not_ready"
    CONDITION_UNMET = "condition_unmet"
    UNKNOWN_CONDITION = "unknown_condition"
    DEADLINE_TOO_CLOSE = "deadline_too_close"
    NO_GANGS = "no_gangs"
    NO_NETWORK = "no_network"
    NO_MODELS = "no_models"
    NO_REPLICA = "no_replica"


MEANINGS: dict[DeclineCode, str] = {
    DeclineCode.BUSY: "it has what the job needs, but others use it now",
    DeclineCode.NOT_ACCEPTING: "it takes no new work: it drains, is paused, or lacks its stake",
    DeclineCode.DOES_NOT_FIT: "it lacks what the job needs or the client's conditions name",
    DeclineCode.PRICE_TOO_LOW: "it asks more than the client's maximum",
    DeclineCode.IMAGE_NOT_ALLOWED: "its owner does not let this image run, or be fetched",
    DeclineCode.TOO_LONG: "the time limit is beyond its owner's longest",
    DeclineCode.RESERVATION_EXPIRED: "the award came after its bid had ended",
    DeclineCode.TERMS_CHANGED: "the award is not what was demanded and bid",
    DeclineCode.NOT_READY: "its container engine or its journal does not answer now",
    DeclineCode.CONDITION_UNMET: "the task or its client does not meet its owner's conditions",
    DeclineCode.UNKNOWN_CONDITION: "the client's conditions name what it does not know",
    DeclineCode.DEADLINE_TOO_CLOSE: "it could not end before the deadline, with all of its time limit",
    DeclineCode.NO_GANGS: "it can't make the network of a gang, or its owner does not let it",
    DeclineCode.NO_NETWORK: "its owner lets jobs reach no network, or not all hosts of the task's list",
    DeclineCode.NO_MODELS: "its owner serves no models, or not this one",
    DeclineCode.NO_REPLICA: "the replica that it would use does not run here, or has other prices",
}


@dataclass(frozen=True, slots=True)
class Bid:
    """A binding offer until ``valid_until_ms``; the node holds the resources that long.

    Attributes:
        demand_hash: `Demand.hash`, so that the bid can't be moved to another.
        price_micro_usdc_per_hour: asked.
        start_ms: expected time from the start message to a running container, as likely too long
            as too short; the coordinator holds it against its own clock (`calibration`).
        wallet: address that owns the node's provider account; it will be paid.
        start_p95_ms: in 19 of 20 cases it is not longer than this; 0 where the node can't say.
        cached_bytes: how much of image and inputs is on the node already.
        nonce: in a sealed auction, the secret of its commitment (`sealing`): 32 random bytes, hex.
        reclaim_window_s: of a preemptible task: how long the node warns before it takes its machine
            back; 0: it does not.
        unit_prices: of a replica: what its use will cost, at most what was demanded; of a use lease: the same again.
    """

    demand_id: Id
    demand_hash: Sha256
    price_micro_usdc_per_hour: MicroUsdc
    start_ms: Millis
    valid_until_ms: Millis
    wallet: Address
    start_p95_ms: Millis = 0
    cached_bytes: Bytes = 0
    nonce: MaybeSha256 = ""
    reclaim_window_s: ReclaimWindowS = 0
    unit_prices: UnitPrices | None = field(default=None, metadata=OMITTED)


@dataclass(frozen=True, slots=True)
class Decline:
    """No bid, and why."""

    demand_id: Id
    code: DeclineCode
    detail: Text = ""
