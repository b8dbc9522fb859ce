"""How a result is verified: by other nodes' runs of the same job, and a comparator. Pure.

A task that is verified has further runs, tasks of their own that belong to it (its *group*), on nodes
of other owners. `judge` looks at what has come back and says what follows:

- *quorum*: `Verification.runs` run at once, and none is paid its last voucher before they agree.
- *spot check*: the task is paid at once; an unpredictable share is run once more afterwards.

A difference alone proves nothing. Another run is asked for, until more than half of all agree (for a
check also: three, and two more than any others) or the limit is reached; only then is who differs from
them *refuted*.

To be the same within a tolerance does not pass on: 0 may be the same as 1, and 1 as 2, but not 0 as 2.
So a majority is what agrees with one run in its *middle*; and refuted is only who agrees with nobody
around any middle that as many agree with. Honest runs that all agree with each other, and are more than
half, are therefore never refuted, whatever the others say, and in whatever order they come.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .comparator import EXACT, Comparator, ComparatorKind
from .demand import Demand, VerifyMode
from .errors import InvalidValue
from .faults import Outcome
from .messages import Result
from .money import cost_micro_usdc
from .reputation import Tally

QUORUM_MIN, QUORUM_MAX = 2, 5
# Of a group, while its results differ.
RUNS_MAX = 2 * QUORUM_MAX + 1
# Nobody waits for a check, so it makes sure. Where a tenth of all nodes are in league, two of them meet
# as check and deciding run often enough to suspend honest nodes: so who differs is refuted by three who
# agree, and are two more than any others who do.
CHECK_AGREEING_MIN, CHECK_LEAD_MIN = 3, 2
CHECK_RUNS_MAX = 7
# How a run may end that others can be compared with. Whatever a limit or the machine did to a run
# says nothing of another one: it ends without an answer.
ANSWERS = frozenset({Outcome.COMPLETED, Outcome.EXIT_NONZERO})


@dataclass(frozen=True, slots=True)
class Verification:
    """What a client asks for.

    Attributes:
        runs: of a quorum: so many nodes run the job at once.
        comparator: what makes two results the same.

    Raises:
        InvalidValue: the parts do not go together.
    """

    mode: VerifyMode = VerifyMode.NONE
    runs: Annotated[int, Meta(ge=1, le=QUORUM_MAX)] = 1
    comparator: Comparator = EXACT

    def __post_init__(self) -> None:
        if self.mode is VerifyMode.QUORUM and self.runs < QUORUM_MIN:
            raise InvalidValue(f"a quorum has {QUORUM_MIN} to {QUORUM_MAX} runs")
        if self.mode is not VerifyMode.QUORUM and self.runs != 1:
            raise InvalidValue("only a quorum has runs")
        if self.mode is VerifyMode.NONE and self.comparator.kind is not ComparatorKind.EXACT:
            raise InvalidValue("a comparator goes with a quorum or a spot check")

    @property
    def runs_held(self) -> int:
        """For how many runs money is held before the task is accepted."""
        if self.mode is VerifyMode.QUORUM:
            return self.runs
        return 2 if self.mode is VerifyMode.SPOT_CHECK else 1

    def held_micro_usdc(self, demand: Demand) -> int:
        """So much is held before the task is accepted: for its runs, and to compare them once."""
        return demand.max_cost_micro_usdc() * self.runs_held + self.comparison_micro_usdc(demand)

    def comparison_micro_usdc(self, demand: Demand) -> int:
        """The most that a comparison by the client's own image costs."""
        timeout_ms = self.comparator.timeout_s * 1000
        if not timeout_ms:
            return 0
        return cost_micro_usdc(demand.max_price_micro_usdc_per_hour, timeout_ms)

    @property
    def runs_wanted(self) -> int:
        """So many must have answered before anything is decided."""
        return 2 if self.mode is VerifyMode.SPOT_CHECK else self.runs

    @property
    def runs_max(self) -> int:
        """So many are made in all while they differ: enough that all but a minority may be wrong."""
        return CHECK_RUNS_MAX if self.mode is VerifyMode.SPOT_CHECK else 2 * self.runs_wanted + 1


UNVERIFIED = Verification()


class Verdict(StrEnum):
    """What verification has said of a run.

    ``due``: its further runs have not begun; ``pending``: they have. A task that may be spot-checked
    becomes due when it has ended, and may then be ``spared``. ``outvoted``: by the client's own image
    the result of others is right, which neither takes the node's pay nor is held against it.
    """

    NONE = ""
    DUE = "due"
    SPARED = "spared"
    PENDING = "pending"
    AGREED = "agreed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"
    OUTVOTED = "outvoted"


@dataclass(frozen=True, slots=True)
class Run:
    """One of a group's runs.

    Attributes:
        task_id: the first run's is the task's own.
        open: whether it may still answer.
        answer: what it came to, once that is known and its files are here.
    """

    task_id: str
    open: bool
    answer: Result | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Not all have answered."""


@dataclass(frozen=True, slots=True)
class RunAgain:
    """The answers differ: another run, on a node of yet another owner, shall decide."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """More than half of all runs agree.

    Attributes:
        right: whoever agrees with one of them, the earliest first.
        wrong: all others.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undecided:
    """There will be no majority. Nobody is refuted, and everybody who answered is paid."""

    reason: str


Judgement = Wait | RunAgain | Agreed | Undecided


def judge(
    wanted: Verification, runs: Sequence[Run], same: Callable[[Result, Result], bool]
) -> Judgement:
    """What follows from a group's answers so far.

    Args:
        runs: the group, in the order in which they were made.
        same: the comparator: whether the files of two results are the same, as `same_files`. Both
            ways alike, and a result is the same as itself.
    """
    if any(run.open for run in runs):
        return Wait()
    answers = [(run.task_id, run.answer) for run in runs if run.answer is not None]
    if not answers:
        return Undecided("no run came to an end that can be compared")
    around = [
        frozenset(name for name, other in answers if _alike(answer, other, same))
        for _, answer in answers
    ]
    most = max(map(len, around))
    largest = [names for names in around if len(names) == most]
    apart = [names for names in around if any(map(names.isdisjoint, largest))]
    second = max(map(len, apart), default=0)
    if _decides(wanted, most, second, len(answers)):
        majority = frozenset[str]().union(*largest)
        agrees = [not majority.isdisjoint(names) for names in around]
        return Agreed(
            tuple(name for (name, _), right in zip(answers, agrees, strict=True) if right),
            tuple(name for (name, _), right in zip(answers, agrees, strict=True) if not right),
        )
    if len(answers) < wanted.runs_wanted:
        return Undecided(
            f"only {len(answers)} of {wanted.runs_wanted} runs came to an end that can be compared"
        )
    left = wanted.runs_max - len(runs)
    if not _decides(wanted, most + left, second, len(answers) + left):
        return Undecided(f"{len(answers)} runs came to too many different results")
    return RunAgain()


def _decides(wanted: Verification, most: int, second: int, answers: int) -> bool:
    """Whether the ``most`` of so many answers that agree are right, if of the others ``second`` do."""
    if 2 * most <= max(answers, wanted.runs_wanted):
        return False
    if wanted.mode is not VerifyMode.SPOT_CHECK or most == answers:
        return True
    if wanted.comparator.kind is ComparatorKind.IMAGE:
        return True  # what a client's own image says refutes nobody
    return most >= CHECK_AGREEING_MIN and most - second >= CHECK_LEAD_MIN


def same_files(one: Result, other: Result) -> bool:
    """The exact comparator: the same paths with the same content."""
    return sorted((file.path, file.sha256) for file in one.outputs) == sorted(
        (file.path, file.sha256) for file in other.outputs
    )


def _alike(one: Result, other: Result, same: Callable[[Result, Result], bool]) -> bool:
    if (one.outcome, one.exit_code) != (other.outcome, other.exit_code):
        return False
    return one is other or same(one, other)


def replica_id(task_id: str, number: int) -> str:
    """The id of a group's run, 1 for the first beside the task's own; the same if asked again."""
    digest = hashlib.sha256(f"replica:{task_id}:{number}".encode()).hexdigest()
    return f"task_{digest[:32]}"


def comparison_id(task_id: str, shown: int) -> str:
    """The id of the task that shows so many results of a group to the client's own image."""
    digest = hashlib.sha256(f"comparison:{task_id}:{shown}".encode()).hexdigest()
    return f"task_{digest[:32]}"


# --- spot checks ----------------------------------------------------------------------------------


def commitment(secret: bytes) -> str:
    """What is published before a secret's first draw, so that it can't be chosen afterwards."""
    return hashlib.sha256(b"neurogrid spot checks:" + secret).hexdigest()


def draw_permille(secret: bytes, lease_id: str, bid_hash: str) -> int:
    """The draw of a run, 0 to 999: it is checked if this is below its node's share.

    The secret keeps nodes from knowing; the bid, which its node has signed, keeps the coordinator
    from choosing lease ids to its liking.
    """
    digest = hmac.digest(secret, f"{lease_id}:{bid_hash}".encode(), "sha256")
    return int.from_bytes(digest[:8], "big") * 1000 >> 64


# Shares of runs that are checked, in thousandths; `tests/simulation/cheating.py` shows what they find.
_SHARE_NEWCOMER = 200
# After so many verified runs a newcomer's share is halved.
_SHARE_HALVED_AFTER = 16
# Of a node that has earned trust: never little, because somebody may know when it was last compared;
# and more with every run since, so that few runs in a row go by. A check compares two runs, so about
# twice as many of a node's runs are compared as are checked: one in six.
_SHARE_LEAST = 50
_SHARE_GROWTH = 11
# All checks and the runs that decide them may be so much of all work that may be checked, and so many
# more: what a young market needs when many begin to cheat at once; an older one has saved it.
_REDUNDANT_MAX_PERMILLE = 95
_REDUNDANT_BURST = 28


def share_permille(tally: Tally, unchecked: int) -> int:
    """Which share of a node's runs is checked: newcomers more, suspects all, and nobody none.

    Args:
        unchecked: so many of its runs were not checked since one was last compared with another's, be
            it as the checked or as the checking one.
    """
    if tally.suspected:
        return 1000
    falling = _SHARE_NEWCOMER * _SHARE_HALVED_AFTER / (_SHARE_HALVED_AFTER + tally.verified)
    growing = _SHARE_LEAST + _SHARE_GROWTH * unchecked
    return min(1000, max(growing, round(falling)))


def is_drawn(draw: int, tally: Tally, unchecked: int, *, checkable: int, redundant: int) -> bool:
    """Whether a run is checked.

    Args:
        draw: of this run, see `draw_permille`.
        unchecked: see `share_permille`.
        checkable: runs so far, of all nodes, that might have been checked.
        redundant: runs so far that only checked others. A suspect is checked all the same.
    """
    if draw >= share_permille(tally, unchecked):
        return False
    allowed = _REDUNDANT_BURST + checkable * _REDUNDANT_MAX_PERMILLE // 1000
    return tally.suspected or redundant < allowed
