"""A lease as its node sees it: phases, the table of what may follow what, events and actions.

The rules that move it are in `execution`, and in `lease_clock`. Stored as one document in the node's journal.

    accepted -> preparing -> running <-> paused
                   |            |          |
                   |         stopping <----+
                   v            v
                reported <- collecting
                   |
                claiming -> closed
"""

from dataclasses import dataclass

from .checkpoint import Checkpoint
from .faults import Outcome
from .job import OutputFile
from .messages import Award, CheckpointTaken, Event, Funded, Meter, Start, VoucherMessage
from .network import NetworkUse
from .offer import LeasePhase
from .payment_chain import NO_VOUCHER
from .serving import Use
from .snapshots import NO_SNAPSHOTS, Snapshots
from .units import NOTHING_SERVED, Units

TRANSITIONS: dict[LeasePhase, frozenset[LeasePhase]] = {
    LeasePhase.ACCEPTED: frozenset({LeasePhase.PREPARING, LeasePhase.REPORTED, LeasePhase.CLOSED}),
    LeasePhase.PREPARING: frozenset(
        {LeasePhase.RUNNING, LeasePhase.STOPPING, LeasePhase.REPORTED, LeasePhase.CLOSED}
    ),
    LeasePhase.RUNNING: frozenset(
        {LeasePhase.PAUSED, LeasePhase.STOPPING, LeasePhase.COLLECTING, LeasePhase.REPORTED}
    ),
    LeasePhase.PAUSED: frozenset(
        {LeasePhase.RUNNING, LeasePhase.STOPPING, LeasePhase.COLLECTING, LeasePhase.REPORTED}
    ),
    LeasePhase.STOPPING: frozenset({LeasePhase.COLLECTING, LeasePhase.REPORTED}),
    LeasePhase.COLLECTING: frozenset({LeasePhase.REPORTED}),
    LeasePhase.REPORTED: frozenset({LeasePhase.CLAIMING, LeasePhase.CLOSED}),
    LeasePhase.CLAIMING: frozenset({LeasePhase.CLOSED}),
    LeasePhase.CLOSED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """How the container ended, as the engine tells it.

    Attributes:
        started_at_ms: by the engine's clock, more exact than what was reported; 0 if it never ran.
    """

    outcome: Outcome
    exit_code: int
    message: str
    finished_at_ms: int
    started_at_ms: int = 0
    memory_peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Boot:
    """The boot of a machine, as its clock tells it now.

    Attributes:
        boot_id: of this boot, and no other.
        at_ms: Unix time less the time since the boot, sleep included: another one only after the clock was set.
    """

    boot_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class NodeLease:
    """Everything a node knows of one lease; its journal holds this document.

    Attributes:
        coordinator: peer id of the coordinator that awarded it.
        agreement_hash: `Accept.hash` of our answer; the events are chained to it.
        sealing_key: that this answer named.
        started_at_ms: engine's time of the start, 0 before.
        paused_at_ms, paused_ms: since when it is paused now (0 if not), and for how long before.
        covered_ms: metered time at the last voucher that was asked for.
        voucher: the best voucher we hold.
        vouchers_linked, voucher_hash: how many linked vouchers there are at least, and the hash of
            the last of them that we hold.
        stop_reason: why the container is being stopped.
        funded: the escrow, where word of it came after the end.
        events: all milestones so far; the coordinator has the first ``events_stored``.
        claim_until_ms: when the escrow stops paying vouchers, 0 if not known.
        claim_transaction: the transaction that closed the escrow.
        reclaim_window_s: how long we warn the job before we take the machine back; 0: we may not.
        reclaimed_at_ms: when it was warned, 0 before.
        snapshots: the checkpoints of its job.
        may_pause: whether its engine can make its job stand still.
        boot: of the machine, by the clock that the times here are of; None until it is known.
        stepped_ms: how far the clock has been set ahead, in all, since the start.
        serves: of a replica: the model that it serves, for units; "" of anything else.
        use: what a lease for use is for; None: it has a container.
        max_unpaid_micro_usdc: of one for use: how far it may be ahead of its vouchers.
        served: of one for use: what it has passed on; as it was when something else was saved last.
        at_work: of one for use: the requests that are being answered now.
        active_ms: of one for use: running time when a request was being answered last.
        stop_words: why it is being stopped, where that is no outcome's own words.
    """

    lease_id: str
    coordinator: str
    award: Award
    agreement_hash: str
    max_unpaid_ms: int
    phase: LeasePhase
    since_ms: int
    start: Start | None = None
    started_at_ms: int = 0
    paused_at_ms: int = 0
    paused_ms: int = 0
    covered_ms: int = 0
    voucher: VoucherMessage | None = None
    vouchers_linked: int = 0
    voucher_hash: str = NO_VOUCHER
    stop_reason: Outcome | None = None
    ran: Ran | None = None
    events: tuple[Event, ...] = ()
    events_stored: int = 0
    log_bytes_stored: int = 0
    claim_until_ms: int = 0
    claim_transaction: str = ""
    sealing_key: str = ""
    reclaim_window_s: int = 0
    reclaimed_at_ms: int = 0
    snapshots: Snapshots = NO_SNAPSHOTS
    may_pause: bool = True
    boot: Boot | None = None
    stepped_ms: int = 0
    funded: Funded | None = None
    serves: str = ""
    use: Use | None = None
    max_unpaid_micro_usdc: int = 0
    served: Units = NOTHING_SERVED
    at_work: int = 0
    active_ms: int = 0
    stop_words: str = ""

    @property
    def held_micro_usdc(self) -> int:
        """What the best voucher that it holds is over."""
        return self.voucher.cumulative_micro_usdc if self.voucher else 0

    @property
    def escrow_named(self) -> Start | Funded | None:
        """What its coordinator said of its escrow; None: nothing yet."""
        return self.start or self.funded

    @property
    def stops_at_ms(self) -> int:
        """When a job that was warned is stopped, 0 if it was not."""
        return self.reclaimed_at_ms and self.reclaimed_at_ms + self.reclaim_window_s * 1000

    @property
    def is_reclaimable(self) -> bool:
        """Whether its machine may be taken back now, and is not being so already."""
        may_end = self.phase in (
            LeasePhase.ACCEPTED,
            LeasePhase.PREPARING,
            LeasePhase.RUNNING,
            LeasePhase.PAUSED,
        )
        return may_end and self.reclaim_window_s > 0 and not self.reclaimed_at_ms

    @property
    def unredeemed_micro_usdc(self) -> int:
        """What its vouchers are worth while its escrow is not closed, fees included."""
        return (
            self.voucher.cumulative_micro_usdc if self.voucher and not self.claim_transaction else 0
        )


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class StartReceived:
    """The job and the escrow's address arrived."""

    start: Start


@dataclass(frozen=True, slots=True)
class FundedReceived:
    """The address of an escrow arrived, for a lease that had ended before its start."""

    funded: Funded


@dataclass(frozen=True, slots=True)
class PrepareFailed:
    """Escrow, image, inputs or container could not be made ready."""

    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class ContainerRunning:
    """The container runs.

    Attributes:
        started_at_ms: since when, by the engine's clock.
        claim_until_ms: when its escrow stops paying vouchers, 0 if not known.
    """

    started_at_ms: int
    claim_until_ms: int = 0


@dataclass(frozen=True, slots=True)
class ContainerEnded:
    """The container is no longer running."""

    ran: Ran


@dataclass(frozen=True, slots=True)
class SnapshotAsked:
    """The job wants a checkpoint."""


@dataclass(frozen=True, slots=True)
class SnapshotEnded:
    """A checkpoint that was to be taken is complete and uploaded, or (None) does not exist."""

    number: int
    checkpoint: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Collected:
    """Outputs are uploaded, or refused with an outcome that replaces the run's own.

    ``checkpoint``: of what a run left that did not complete, uploaded.
    ``network``: what the job did with the network that it asked for, if it did.
    ``served``: of a lease for use: all that it has passed on.
    """

    outputs: tuple[OutputFile, ...]
    logs_sha256: str
    logs_bytes: int
    profile_hash: str
    refused: Outcome | None = None
    message: str = ""
    checkpoint: Checkpoint | None = None
    network: NetworkUse | None = None
    served: Units = NOTHING_SERVED


@dataclass(frozen=True, slots=True)
class Served:
    """What a lease for use has passed on so far, and how many requests are being answered."""

    units: Units
    at_work: int


@dataclass(frozen=True, slots=True)
class VoucherReceived:
    """A voucher whose signature the shell has checked."""

    voucher: VoucherMessage


@dataclass(frozen=True, slots=True)
class StopReceived:
    """The coordinator ends the lease."""

    reason: Outcome


@dataclass(frozen=True, slots=True)
class Reclaim:
    """The machine is needed: warn the job, and stop it when its window is over."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The coordinator has stored this much; ``closed``: it has settled the lease.

    ``checkpoint``: number of the newest checkpoint that it has kept.
    """

    events: int
    log_bytes: int
    closed: bool
    checkpoint: int = 0


@dataclass(frozen=True, slots=True)
class ClaimConfirmed:
    """The escrow is closed on the chain, by this transaction (or was already gone: "")."""

    transaction: str


LeaseEvent = (
    Tick
    | StartReceived
    | FundedReceived
    | PrepareFailed
    | ContainerRunning
    | ContainerEnded
    | SnapshotAsked
    | SnapshotEnded
    | Collected
    | Served
    | VoucherReceived
    | StopReceived
    | Reclaim
    | Stored
    | ClaimConfirmed
)

# --- actions --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepare:
    """Check the escrow, get image and inputs, create and start the container."""

    start: Start


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow the running container: its logs and its end."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Freeze the container: unpaid work is beyond the limit."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Let it go on."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Let the job know when it will be stopped."""

    stops_at_ms: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Stop the container, politely and then not."""

    reason: Outcome


@dataclass(frozen=True, slots=True)
class TakeSnapshot:
    """Take a checkpoint of the running job, with this number, and upload it."""

    number: int


@dataclass(frozen=True, slots=True)
class SendCheckpoint:
    """Tell the coordinator of a complete one; again until it has kept it."""

    message: CheckpointTaken


@dataclass(frozen=True, slots=True)
class Collect:
    """Read, check and upload the outputs and the rest of the logs."""


@dataclass(frozen=True, slots=True)
class SendEvents:
    """Send every milestone the coordinator has not stored."""


@dataclass(frozen=True, slots=True)
class SendMeter:
    """Ask for a voucher over the metered time."""

    meter: Meter


@dataclass(frozen=True, slots=True)
class RedeemEscrow:
    """Redeem the voucher (none: give the escrow up) and close the escrow, once."""

    voucher: VoucherMessage | None


@dataclass(frozen=True, slots=True)
class SendClaimed:
    """Tell the coordinator which transaction closed the escrow."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove container and workspace; give the resources back."""


LeaseAction = (
    Prepare
    | Watch
    | Pause
    | Resume
    | Warn
    | Kill
    | TakeSnapshot
    | SendCheckpoint
    | Collect
    | SendEvents
    | SendMeter
    | RedeemEscrow
    | SendClaimed
    | Forget
)
