"""What a task needs done: the actions that `orchestration` asks its shell for; each is idempotent."""

from dataclasses import dataclass

from .demand import Demand
from .faults import Outcome
from .messages import Result
from .task import Lease, Task


@dataclass(frozen=True, slots=True)
class HoldAuction:
    """Ask the market; answer with `AuctionClosed`."""

    demand: Demand
    excluded: tuple[str, ...]
    owners_excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SendAward:
    """Offer the lease; answer with `Accepted` or `Refused`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class OpenEscrow:
    """Open the escrow on the chain; answer with `EscrowOpened` or `EscrowFailed`."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class SendStart:
    """Send the job and the escrow's address to the node."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class SendStop:
    """Tell the node to end the lease; sent again until the node has reported its end."""

    lease: Lease
    reason: Outcome


@dataclass(frozen=True, slots=True)
class CheckOutputs:
    """Compare the uploaded files with the result; answer with `OutputsChecked`."""

    lease: Lease
    result: Result


@dataclass(frozen=True, slots=True)
class Settle:
    """Nothing more will be earned on this lease: pay exactly this much in all, then close it."""

    lease: Lease
    cumulative_micro_usdc: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """The node is lost: take the escrow back, subject to vouchers it already holds."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class SeekVerdict:
    """Look at all runs of a group, and do what `verification.judge` says."""

    group: str


@dataclass(frozen=True, slots=True)
class Blame:
    """Remember how a lease failed; what it says of the node, `reputation` knows."""

    lease: Lease
    outcome: Outcome


Action = (
    HoldAuction
    | SendAward
    | OpenEscrow
    | SendStart
    | SendStop
    | CheckOutputs
    | Settle
    | Abandon
    | SeekVerdict
    | Blame
)


@dataclass(frozen=True, slots=True)
class Decision:
    """A step's outcome: the state to store, then the actions to perform in order."""

    task: Task
    actions: tuple[Action, ...] = ()
