"""What a node's record is worth: a score from findings, decaying, explained item by item.

A finding is something that the coordinator has seen for itself. The score is the share of good points
among all, with ten of each granted to everybody beforehand, so that a newcomer stands in the middle
and the first findings move it gently:

    score = 1000 * (10 + good) / (20 + good + bad)

- Credit follows a check. A completed run that nobody has verified says nothing, else a node could
  buy trust with work that is never looked at.
- What the user or the infrastructure did counts nothing.
- One finding never ruins anybody: the heaviest costs less than `ITEM_EFFECT_MAX_PERMILLE`.
- Everything is forgotten at the same pace: points halve in `HALF_LIFE_MS`.

A node that was proven wrong twice within a short time is suspended: it is asked for nothing until
enough of that is forgotten. Once `CLEARED_AFTER` of its runs in a row were found right, what was proven
before suspends it no more; the score keeps it.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from .faults import CONSEQUENCES, Fault, Outcome

HALF_LIFE_MS = 30 * 24 * 3_600_000
# Granted to everybody, of each kind: twenty verified runs take a newcomer to 750.
_PRIOR_POINTS = 10.0
SCORE_MAX_PERMILLE = 1000
# No single finding moves a score by more; follows from the points below, and a test holds it.
ITEM_EFFECT_MAX_PERMILLE = 100
# Proven wrong so often, by what is not forgotten yet: suspended. One such finding may be a memory
# error in an honest machine (one in some hundred thousand jobs); two in a row are not.
SUSPENDED_FROM = 1.5
# A suspect, all of whose runs are checked, is none any more after so many that agreed: an honest
# machine that errs in one of 100,000 jobs errs again among them once in 500 times, however busy it is;
# who lies in more than one of forty is found among them with 99 %.
CLEARED_AFTER = 200
# A start counts as late beyond twice what the bid said and ten seconds: a busy disk is no lie.
_LATE_FACTOR = 2
_LATE_GRACE_MS = 10_000


class FindingKind(StrEnum):
    """What was found out about a node."""

    VERIFIED = "verified"
    REFUTED = "refuted"
    FAILED = "failed"
    CHALLENGE_PASSED = "challenge_passed"
    CHALLENGE_FAILED = "challenge_failed"
    GPU_SHARED = "gpu_shared"
    MODEL_FALSE = "model_false"


# What comes of challenges; scored only where the coordinator's operator says so.
SHADOW_KINDS = frozenset(
    {FindingKind.CHALLENGE_PASSED, FindingKind.CHALLENGE_FAILED, FindingKind.GPU_SHARED}
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a coordinator has seen a node do.

    Attributes:
        at_ms: when, by the coordinator's clock.
        outcome: of a failed run.
        bid_start_ms, start_ms: of a verified run: how long its start was bid to take, and took;
            0 where it is not known.
    """

    kind: FindingKind
    at_ms: int
    outcome: Outcome | None = None
    bid_start_ms: int = 0
    start_ms: int = 0


@dataclass(frozen=True, slots=True)
class Points:
    """What one finding counts before it is forgotten, and why."""

    good: float
    bad: float
    reason: str


def points(finding: Finding) -> Points:
    """What a finding counts."""
    match finding.kind:
        case FindingKind.VERIFIED:
            late = finding.start_ms > _LATE_FACTOR * finding.bid_start_ms + _LATE_GRACE_MS
            if finding.bid_start_ms and late:
                return Points(0.5, 0.0, "its result was verified; it started later than it had bid")
            return Points(1.0, 0.0, "its result was verified")
        case FindingKind.REFUTED:
            return Points(0.0, 4.0, "other nodes agreed on another result")
        case FindingKind.FAILED:
            return _points_of_failure(finding.outcome)
        case FindingKind.CHALLENGE_PASSED:
            return Points(1.0, 0.0, "it passed a challenge")
        case FindingKind.CHALLENGE_FAILED:
            return Points(0.0, 3.0, "it failed a challenge: it has less than it offers")
        case FindingKind.GPU_SHARED:
            return Points(0.0, 3.0, "another node offers the same GPU")
        case FindingKind.MODEL_FALSE:
            return Points(0.0, 4.0, "its answers are not those of the model that it says it serves")


def _points_of_failure(outcome: Outcome | None) -> Points:
    if outcome is None or CONSEQUENCES[outcome].fault is not Fault.NODE:
        return Points(0.0, 0.0, "a run failed, by no fault of the node's")
    # An output that is not what the node itself said of it is nearer to a lie than to an accident.
    bad = 2.0 if outcome is Outcome.RESULT_INVALID else 1.0
    return Points(0.0, bad, f"a run failed by its fault: {outcome.value}")


@dataclass(frozen=True, slots=True)
class Tally:
    """Findings added up, as of a moment: all that a score needs.

    Attributes:
        good, bad: points.
        verified, refuted: findings of these kinds, by what is not forgotten of them.
        right: how many in a row were verified since the last that was refuted.
    """

    as_of_ms: int = 0
    good: float = 0.0
    bad: float = 0.0
    verified: float = 0.0
    refuted: float = 0.0
    right: int = 0

    def at(self, now_ms: int) -> "Tally":
        """The same after forgetting until ``now_ms``. A clock that went back forgets nothing."""
        kept = remembered(self.as_of_ms, now_ms)
        return Tally(
            max(now_ms, self.as_of_ms),
            self.good * kept,
            self.bad * kept,
            self.verified * kept,
            self.refuted * kept,
            self.right,
        )

    def after(self, finding: Finding) -> "Tally":
        """With one finding more."""
        now = self.at(finding.at_ms)
        kept = remembered(finding.at_ms, now.as_of_ms)
        worth = points(finding)
        now = replace(now, good=now.good + worth.good * kept, bad=now.bad + worth.bad * kept)
        match finding.kind:
            case FindingKind.VERIFIED:
                right = now.right + 1
                refuted = now.refuted if right < CLEARED_AFTER else 0.0
                return replace(now, verified=now.verified + kept, refuted=refuted, right=right)
            case FindingKind.REFUTED:
                return replace(now, refuted=now.refuted + kept, right=0)
            case _:
                return now

    @property
    def score_permille(self) -> int:
        """0 to 1000; 500 for a newcomer, 0 while suspended."""
        return 0 if self.suspended else _score(self.good, self.bad)

    @property
    def suspended(self) -> bool:
        """Whether it is asked for nothing for now."""
        return self.refuted >= SUSPENDED_FROM

    @property
    def suspected(self) -> bool:
        """Whether it was proven wrong, and neither is half of that forgotten nor is it cleared."""
        return self.refuted >= 0.5


@dataclass(frozen=True, slots=True)
class Line:
    """One finding in an explanation.

    Attributes:
        remembered_permille: what part of it is not forgotten.
        effect_permille: by how much it moves the score: the score less what it would be without.
        scored: false for what is only recorded.
    """

    finding: Finding
    reason: str
    remembered_permille: int
    effect_permille: int
    scored: bool = True


@dataclass(frozen=True, slots=True)
class Reputation:
    """A score with what it is made of, newest finding first."""

    tally: Tally
    lines: tuple[Line, ...]


def tally_of(findings: Iterable[Finding], now_ms: int, *, challenges_scored: bool) -> Tally:
    """Everything added up."""
    tally = Tally()
    for finding in sorted(findings, key=lambda item: item.at_ms):
        if challenges_scored or finding.kind not in SHADOW_KINDS:
            tally = tally.after(finding)
    return tally.at(now_ms)


def explain_reputation(
    findings: Iterable[Finding], now_ms: int, *, challenges_scored: bool
) -> Reputation:
    """The score and what each finding does to it."""
    known = sorted(findings, key=lambda item: item.at_ms, reverse=True)
    tally = tally_of(known, now_ms, challenges_scored=challenges_scored)
    lines = []
    for finding in known:
        worth, kept = points(finding), remembered(finding.at_ms, now_ms)
        scored = challenges_scored or finding.kind not in SHADOW_KINDS
        without = _score(tally.good - worth.good * kept, tally.bad - worth.bad * kept)
        effect = _score(tally.good, tally.bad) - without if scored else 0
        lines.append(Line(finding, worth.reason, round(1000 * kept), effect, scored))
    return Reputation(tally, tuple(lines))


def remembered(at_ms: int, now_ms: int) -> float:
    """What part of something that happened at ``at_ms`` is not forgotten: 1 down to 0."""
    return math.exp2(-max(0, now_ms - at_ms) / HALF_LIFE_MS)


def _score(good: float, bad: float) -> int:
    share = (_PRIOR_POINTS + good) / (2 * _PRIOR_POINTS + good + bad)
    return round(SCORE_MAX_PERMILLE * share)
