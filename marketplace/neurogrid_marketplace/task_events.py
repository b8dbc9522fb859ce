"""What happens to a task: the events that `orchestration` decides on."""

from collections.abc import Mapping
from dataclasses import dataclass

from .auction import RankedBid
from .checkpoint import Checkpoint
from .demand import Demand
from .job import Job
from .membership import Stage
from .messages import Result
from .task import Ending, Phase
from .verification import Verdict


@dataclass(frozen=True, slots=True)
class Due:
    """Time has passed, or the coordinator restarted.

    ``heard_ms`` is when the lease's node last spoke; a coordinator that has just started knows
    nothing and says "now", because unknown is not dead.
    """

    heard_ms: int


@dataclass(frozen=True, slots=True)
class TurnCame:
    """A queued task is next: nodes came or became free, so it need not wait out its pause."""


@dataclass(frozen=True, slots=True)
class AuctionClosed:
    """The auction of ``demand_id`` is over; an empty ranking means no bids."""

    demand_id: str
    ranking: tuple[RankedBid, ...]
    explanation: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """The node took the lease; ``sealing_key``: the one it named for inputs, "" for none."""

    lease_id: str
    sealing_key: str = ""


@dataclass(frozen=True, slots=True)
class KeySent:
    """The client sent the key to its sealed inputs, wrapped to the node of this lease."""

    lease_id: str
    wrapped_key: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The node denied the award or did not answer in time."""

    lease_id: str
    code: str


@dataclass(frozen=True, slots=True)
class EscrowOpened:
    """The escrow is confirmed on the chain."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class EscrowFailed:
    """The chain refused the escrow.

    Attributes:
        of_client: the client's funds or limit are the reason: no node would change that.
        of_node: the node is, for example its stake: another one may do.
    """

    lease_id: str
    message: str
    of_client: bool
    of_node: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The node reported a running container; ``at_ms`` is the node's clock."""

    lease_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """The node reported that it takes its machine back; ``at_ms`` is the node's clock."""

    lease_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class CheckpointKept:
    """The node reported a checkpoint of the running job, and all of it is here."""

    lease_id: str
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Finished:
    """The node reported the end of the run.

    ``checkpoint``: the one that its result names, where all of it is here.
    """

    lease_id: str
    result: Result
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The node is there and says that it has no such lease: it has lost its journal."""

    lease_id: str


@dataclass(frozen=True, slots=True)
class OutputsChecked:
    """Whether every output the result names is here with the hash it names."""

    lease_id: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class RunsBegun:
    """The further runs of a quorum are there; what they may cost is held for them now."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the group's runs together say of this one.

    Attributes:
        result, result_of: of a refuted run: what the others agreed on, and whose it is.
    """

    lease_id: str
    verdict: Verdict
    reason: str = ""
    result: Result | None = None
    result_of: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonBegun:
    """The results of the task's group are shown to the client's own image."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The owner cancelled."""


@dataclass(frozen=True, slots=True)
class InputsFixed:
    """All that the task needs has completed; ``job``: with the hashes of all its inputs."""

    job: Job


@dataclass(frozen=True, slots=True)
class DependencyUnmet:
    """Something that the task needs can't be had any more."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Seated:
    """Rank 0's auction has won this member a seat.

    Attributes:
        attempt: of the gang; one that the member has taken part in changes nothing.
        nodes: of all members, by rank.
        demand, start_factors_permille: of the auction.
    """

    attempt: int
    bid: RankedBid
    nodes: tuple[str, ...]
    demand: Demand
    start_factors_permille: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StageReached:
    """All members of the gang are so far."""

    lease_id: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class AttemptOver:
    """Another member has failed, or lost its node: this one is to stop."""

    lease_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """All members have stopped, and begin again: what this one has done does not count."""

    lease_id: str
    why: str


@dataclass(frozen=True, slots=True)
class BegunAgain:
    """No member of the gang has a seat any more.

    Attributes:
        code: of the fault that ended the attempt; "" where a node only did not take its lease.
        avoid: nodes whose fault it was.
        has_cost: whether the attempt has cost the client something.
    """

    why: str
    code: str
    avoid: tuple[str, ...]
    has_cost: bool


@dataclass(frozen=True, slots=True)
class Disbanded:
    """All members of the gang have ended: this one completed, or ends as is said."""

    phase: Phase = Phase.COMPLETED
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class CutOff:
    """The coordinator's books are an older copy: what became of the task since is not known, and
    it may have run and been paid."""


@dataclass(frozen=True, slots=True)
class LeftUnpaid:
    """An escrow of the task, present or past, is closed and has paid less than was charged for it.

    Attributes:
        micro_usdc: the difference, for good.
    """

    micro_usdc: int


Event = (
    Due
    | TurnCame
    | AuctionClosed
    | Accepted
    | KeySent
    | Refused
    | EscrowOpened
    | EscrowFailed
    | Started
    | Reclaimed
    | CheckpointKept
    | Finished
    | Forgotten
    | OutputsChecked
    | RunsBegun
    | Judged
    | ComparisonBegun
    | CancelRequested
    | InputsFixed
    | DependencyUnmet
    | Seated
    | StageReached
    | AttemptOver
    | Dismissed
    | BegunAgain
    | Disbanded
    | LeftUnpaid
    | CutOff
)
