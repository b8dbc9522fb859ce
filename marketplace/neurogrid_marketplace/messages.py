"""Every message between a node and a coordinator, and the names they travel under.

A message is the body of an `Envelope`. Each travels on one kind of stream: what concerns one lease
after its award on that lease's stream (`LeaseMessage`), the rest on the control stream; a `Welcome`
opens the session of either. docs/protocol.md says who sends what when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .bid import Bid, Decline, DeclineCode
from .canonical import Json, sha256_hex
from .checkpoint import Checkpoint
from .demand import Demand, TimeoutS
from .errors import InvalidValue, MalformedMessage, UnknownMessage
from .faults import Outcome
from .fields import (
    OMITTED,
    Address,
    Bytes,
    Count,
    Id,
    MaybeSha256,
    MicroUsdc,
    Millis,
    SealingKey,
    Sha256,
    SignatureHex,
    StartFactor,
    Text,
    TraceParent,
    TransactionSignature,
    Word,
    WrappedKey,
    decode,
    plain,
)
from .gang import GangPlace
from .job import Job, OutputFile
from .network import NetworkUse
from .offer import LeaseStatus, Offer
from .resources import Capacity
from .sealing import Commit, Reveal
from .units import UnitPrices, Units
from .usage import GpuUses

PROTOCOL_ID = "/neurogrid/control/1"
LEASE_PROTOCOL_ID = "/neurogrid/lease/1"
# The same stream, opened by a coordinator that dials the node instead of waiting for it.
DIRECT_PROTOCOL_ID = "/neurogrid/direct/1"
# One HTTP request for a file, on a stream of the same connection.
FILES_PROTOCOL_ID = "/neurogrid/artifacts/1"
# In place of an address: files travel over `FILES_PROTOCOL_ID`.
FILES_OVER_CONNECTION = "libp2p:"
# A node beats this often; two timers follow from it (supervision in `orchestration`).
HEARTBEAT_INTERVAL_S = 5
# Nothing at all for this long: the connection is dead (TCP alone never says so).
SILENCE_LIMIT_S = 45
MAX_LOG_CHUNK_CHARS = 32_768
# A body's own list of what its reader has to understand.
_CRITICAL = "critical"
_MAX_CRITICAL = 16
# The most log text of one lease that a node sends and a coordinator keeps.
MAX_LOG_BYTES = 16 * 1024 * 1024
MAX_OUTPUTS = 1000
# UTF-8 bytes of all paths of a manifest, so that a result fits a frame (`wire`): a path of 512
# characters may have 2,048 bytes, and a job chooses its paths.
MAX_OUTPUT_PATHS_BYTES = 512 * 1024

LogText = Annotated[str, Meta(max_length=MAX_LOG_CHUNK_CHARS)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s\x00-\x1f]{1,500}\Z")]
FilesUrl = Annotated[str, Meta(pattern=r"^(https?://[^\s\x00-\x1f]{1,500}|libp2p:)\Z")]
Outputs = Annotated[tuple[OutputFile, ...], Meta(max_length=MAX_OUTPUTS)]
# What a program left, on any system; -1 if it never ran.
ExitCode = Annotated[int, Meta(ge=-1, le=2**32 - 1)]


@dataclass(frozen=True, slots=True)
class Welcome:
    """First message on every stream: names its session, before the node says anything."""

    session: Word
    software: Word


@dataclass(frozen=True, slots=True)
class Hello:
    """A node's answer: what it offers, and which leases of this coordinator it still has."""

    offer: Offer
    leases: Annotated[tuple[LeaseStatus, ...], Meta(max_length=256)] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Every ``HEARTBEAT_INTERVAL_S``, and at once when what is free changes.

    ``reclaimable``: as in `Offer`. ``gpus``: how those are that are offered, as they were read last.
    """

    free: Capacity
    accepting: bool
    leases: Annotated[tuple[LeaseStatus, ...], Meta(max_length=256)] = ()
    reclaimable: Capacity | None = None
    gpus: GpuUses = ()


@dataclass(frozen=True, slots=True)
class Award:
    """The auction is won: the lease on offer. Answered by accept or deny within two seconds.

    Attributes:
        demand_hash: `Demand.hash`; bid_hash: envelope hash of the bid that won.
        other_bid_hashes: of every other bid, so that the price can be checked later.
        price_micro_usdc_per_hour: the second score; at least what was bid.
        max_cost_micro_usdc: what the escrow will hold.
        start_factors_permille: bid hash -> what its time to start was multiplied by, for every bid
            whose node was not taken at its word.
        reveal_hash: `Reveal.hash` of a sealed auction, "" of an open one.
        unit_prices: as they were bid.
    """

    lease_id: Id
    demand_id: Id
    demand_hash: Sha256
    bid_hash: Sha256
    other_bid_hashes: Annotated[tuple[Sha256, ...], Meta(max_length=64)]
    price_micro_usdc_per_hour: MicroUsdc
    max_cost_micro_usdc: MicroUsdc
    timeout_s: TimeoutS
    voucher_interval_s: Annotated[int, Meta(ge=1, le=3600)]
    job_hash: Sha256
    start_factors_permille: Annotated[Mapping[Sha256, StartFactor], Meta(max_length=64)] = field(
        default_factory=dict
    )
    reveal_hash: MaybeSha256 = ""
    unit_prices: UnitPrices | None = field(default=None, metadata=OMITTED)

    def hash(self) -> str:
        """What the accept refers to: the terms, however often they were sent."""
        return sha256_hex(plain(self))


@dataclass(frozen=True, slots=True)
class Accept:
    """The node takes the lease; with the award it makes the agreement both have signed.

    Attributes:
        award_hash: `Award.hash`.
        sealing_key: that inputs may be sealed to, for this lease (`input_seal`).
    """

    lease_id: Id
    award_hash: Sha256
    sealing_key: SealingKey = ""

    def hash(self) -> str:
        """The agreement, which the lease's events are chained to."""
        return sha256_hex(plain(self))


@dataclass(frozen=True, slots=True)
class Deny:
    """The node does not take the lease after all."""

    lease_id: Id
    code: DeclineCode
    detail: Text = ""


@dataclass(frozen=True, slots=True)
class Attach:
    """First message of a node on a lease's stream: which lease, and what it has of it.

    The answer says what the coordinator has, and then what the node lacks.

    Attributes:
        has_start: whether a `Start` has arrived.
        events: how many events there are so far.
        voucher_micro_usdc: what the best voucher that has arrived is over; 0 for none.
        voucher_hash: `VoucherMessage.hash` of the last linked voucher that has.
    """

    lease_id: Id
    has_start: bool
    events: Count
    voucher_micro_usdc: MicroUsdc = 0
    voucher_hash: Sha256 = "0" * 64


@dataclass(frozen=True, slots=True)
class Start:
    """The escrow is open; here is the job.

    Attributes:
        client: owner of the client account that the escrow is charged to.
        escrow: address of the escrow account; the node reads it before it starts.
        voucher_signer: public key (as an address) whose vouchers the escrow pays.
        artifacts_url: where inputs are fetched and outputs are put, by hash.
        artifacts_token: bearer token for this lease alone.
        wrapped_key: opens the job's sealed inputs; wrapped to the accept's ``sealing_key``.
        gang: the lease's place among others that start with it.
        resumed: the checkpoint that the job begins from; its manifest and its files are artifacts.
        trace: what the node's spans of this lease belong to.
    """

    lease_id: Id
    job: Job
    client: Address
    escrow: Address
    voucher_signer: Address
    artifacts_url: FilesUrl
    artifacts_token: Annotated[str, Meta(max_length=256)]
    wrapped_key: WrappedKey = ""
    gang: GangPlace | None = None
    resumed: Checkpoint | None = None
    trace: TraceParent = ""


@dataclass(frozen=True, slots=True)
class Funded:
    """The escrow of a lease whose end was reported before its `Start` came: the node gives it up.

    Nothing is to run. A coordinator that cancelled while the escrow was being opened says it.

    Attributes:
        client, escrow, voucher_signer: as in `Start`.
    """

    lease_id: Id
    client: Address
    escrow: Address
    voucher_signer: Address


@dataclass(frozen=True, slots=True)
class Stop:
    """End the job now (cancelled, or the coordinator gave the task to another)."""

    lease_id: Id
    reason: Outcome
    detail: Text = ""


class EventKind(StrEnum):
    """The milestones of a lease that must not be lost.

    ``reclaimed``, of a preemptible task alone: the job is warned, and stopped when the window is over.
    """

    PREPARING = "preparing"
    STARTED = "started"
    RECLAIMED = "reclaimed"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended, as the node states it.

    Attributes:
        exit_code: of the program, -1 if it never ran.
        metered_ms: running time to be paid for.
        outputs: what it left under /outputs, sorted by path, all uploaded.
        logs_sha256, logs_bytes: of the whole log text that was sent.
        profile_hash: SHA-256 of the sandbox profile that was applied.
        voucher_hash: `VoucherMessage.hash` of the last linked voucher that the node holds.
        resumed: the checkpoint that the job began from.
        checkpoint: the last complete one that this run has left, all uploaded.
        network: what it did with the network that it asked for; None: it asked for none.
        served: of a use lease: all that it has passed on, as the node counted.
    """

    outcome: Outcome
    exit_code: ExitCode
    message: Text
    metered_ms: Millis
    outputs: Outputs = ()
    logs_sha256: Sha256 = "0" * 64
    logs_bytes: Bytes = 0
    memory_peak_bytes: Bytes = 0
    profile_hash: Sha256 = "0" * 64
    voucher_hash: Sha256 = "0" * 64
    resumed: Checkpoint | None = None
    checkpoint: Checkpoint | None = None
    network: NetworkUse | None = None
    served: Units | None = field(default=None, metadata=OMITTED)

    def __post_init__(self) -> None:
        if not outputs_travel(self.outputs):
            raise InvalidValue("the manifest of the outputs is too large to travel")


def outputs_travel(outputs: Sequence[OutputFile]) -> bool:
    """Whether a result may list these files; a node refuses outputs that it could not report."""
    paths_bytes = sum(len(item.path.encode("utf-8", "surrogatepass")) for item in outputs)
    return len(outputs) <= MAX_OUTPUTS and paths_bytes <= MAX_OUTPUT_PATHS_BYTES


@dataclass(frozen=True, slots=True)
class Event:
    """A milestone: numbered, kept in the node's journal and resent until acknowledged.

    ``previous_hash`` chains the events of a lease: the first names `Accept.hash`, each later one
    the `Event.hash` before it. These are hashes of the messages, not of their envelopes: a message
    that is sent again in another session has another envelope.
    """

    lease_id: Id
    number: Count
    kind: EventKind
    at_ms: Millis
    previous_hash: Sha256
    result: Result | None = None

    def hash(self) -> str:
        """What the next event refers to."""
        return sha256_hex(plain(self))


@dataclass(frozen=True, slots=True)
class Meter:
    """Metered time so far: what the next voucher should cover.

    ``voucher_hash`` is `VoucherMessage.hash` of the last linked voucher that the node holds: with it
    the node confirms that voucher and every one before it (`payment_chain`).
    ``served``: of a use lease: what it has passed on so far, as the node counted; it is that which costs.
    """

    lease_id: Id
    metered_ms: Millis
    cumulative_micro_usdc: MicroUsdc
    voucher_hash: Sha256 = "0" * 64
    served: Units | None = field(default=None, metadata=OMITTED)

    def hash(self) -> str:
        """What the voucher that answers it refers to."""
        return sha256_hex(plain(self))


@dataclass(frozen=True, slots=True)
class Log:
    """A piece of the job's log text; ``offset`` counts UTF-8 bytes before it."""

    lease_id: Id
    offset: Bytes
    text: LogText


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """A checkpoint of the running job is complete: its manifest and every file of it are uploaded.

    Sent again until an acknowledgement has its number.
    """

    lease_id: Id
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Claimed:
    """The final voucher is redeemed (or the escrow given up) by this transaction."""

    lease_id: Id
    transaction: TransactionSignature


@dataclass(frozen=True, slots=True)
class VoucherLink:
    """The place of a voucher among those of its lease that the receipt holds (`payment_chain`).

    Attributes:
        number: 0, 1, 2: counts the linked vouchers.
        previous_hash: `VoucherMessage.hash` of the one before it; 64 zeros for the first.
        answers_hash: `Meter.hash` of the meter that it answers; of a final one, `Event.hash` of the
            last event.
    """

    number: Count
    previous_hash: Sha256
    answers_hash: Sha256


@dataclass(frozen=True, slots=True)
class VoucherMessage:
    """A signed voucher. ``final``: nothing more will be paid; redeem it and close the escrow."""

    lease_id: Id
    cumulative_micro_usdc: MicroUsdc
    signature: SignatureHex
    final: bool
    link: VoucherLink | None = None

    def hash(self) -> str:
        """What the next meter, the next voucher and the result refer to."""
        return sha256_hex(plain(self))


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """What the coordinator has stored, so the node need not send it again.

    Attributes:
        events: how many events of the lease are stored.
        log_bytes: how many bytes of its log are.
        closed: the lease is settled; the node may forget it.
        log_limit_bytes: how far the node may send its log: offset of the first byte that it may
            not. Within a session it never becomes less.
        checkpoint: number of the newest checkpoint of the lease that is kept; 0: none.
    """

    lease_id: Id
    events: Count
    log_bytes: Bytes
    closed: bool = False
    log_limit_bytes: Bytes = 0
    checkpoint: Count = 0


@dataclass(frozen=True, slots=True)
class Pulse:
    """The coordinator's answer to hello and heartbeat, so that a node notices when it is gone."""

    received_ms: Millis


Message = (
    Welcome
    | Hello
    | Heartbeat
    | Demand
    | Bid
    | Decline
    | Commit
    | Reveal
    | Award
    | Accept
    | Deny
    | Attach
    | Start
    | Funded
    | Stop
    | Event
    | Meter
    | Log
    | CheckpointTaken
    | Claimed
    | VoucherMessage
    | Acknowledge
    | Pulse
)
# What travels on the stream of the lease that it names, by who says it.
NodeLeaseMessage = Attach | Event | Meter | Log | CheckpointTaken | Claimed
CoordinatorLeaseMessage = Start | Funded | Stop | VoucherMessage | Acknowledge

MESSAGE_TYPES: dict[str, type[Message]] = {
    "welcome": Welcome,
    "hello": Hello,
    "heartbeat": Heartbeat,
    "demand": Demand,
    "bid": Bid,
    "decline": Decline,
    "commit": Commit,
    "reveal": Reveal,
    "award": Award,
    "accept": Accept,
    "deny": Deny,
    "attach": Attach,
    "start": Start,
    "funded": Funded,
    "stop": Stop,
    "event": Event,
    "meter": Meter,
    "log": Log,
    "checkpoint": CheckpointTaken,
    "claimed": Claimed,
    "voucher": VoucherMessage,
    "acknowledge": Acknowledge,
    "pulse": Pulse,
}
_NAMES = {kind: name for name, kind in MESSAGE_TYPES.items()}


def type_name(message: Message) -> str:
    """The name a message travels under."""
    return _NAMES[type(message)]


def to_body(message: Message) -> dict[str, Json]:
    """The message as an envelope's body."""
    return plain(message)


def parse_body(name: str, body: object) -> Message:
    """Read an envelope's body.

    Raises:
        UnknownMessage: a later version's message, which may be passed over.
        MalformedMessage: fields that do not fit, or one that has to be understood and is not.
    """
    kind = MESSAGE_TYPES.get(name)
    _refuse_critical(name, kind, body)
    if kind is None:
        raise UnknownMessage(f"no message is called {name[:40]!r}")
    return decode(kind, body)


def _refuse_critical(name: str, kind: type[Message] | None, body: object) -> None:
    """Refuse a body that says itself that it must not be read without knowing more than we do."""
    critical = body.get(_CRITICAL, []) if isinstance(body, dict) else []
    if not isinstance(critical, list) or len(critical) > _MAX_CRITICAL:
        raise MalformedMessage(f"{_CRITICAL} is a list of at most {_MAX_CRITICAL} names")
    known = {name, *(item.name for item in fields(kind))} if kind is not None else set()
    for item in critical:
        if not isinstance(item, str) or item not in known:
            raise MalformedMessage(
                f"this side has to understand {str(item)[:40]!r} of {name[:40]!r}, and does not"
            )
