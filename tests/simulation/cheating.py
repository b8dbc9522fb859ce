"""A market with cheats in it, under the real rules: who is checked, refuted, suspended.

Everything that decides is the marketplace's own (`verification`, `reputation`); here are only the
nodes, which compute or don't, and a clock. Who gets a job is drawn by score, as `matching.sample`
does it, but in a hundredth of its time: `test_cheating.py` holds the two together. One seed is one
run.
"""

import itertools
import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.reputation import Finding, FindingKind, Tally
from neurogrid_marketplace.verification import (
    Agreed,
    Run,
    RunAgain,
    Verification,
    draw_permille,
    is_drawn,
    judge,
    same_files,
)

START_MS = 1_800_000_000_000
# A job for each of a hundred nodes about every half an hour.
JOB_EVERY_MS = 20_000
# A node that has been here for long: it earned this much before anybody began to cheat.
PROVEN = Tally(START_MS, good=200.0, verified=200.0)
# How often an honest machine's result is wrong: memory without error correction, generously.
NOISE = 1e-5
# How often a run is lost, of honest nodes and cheats alike, and runs again on another node: by its
# machine, which is a finding of its own, and by what is between it and the coordinator, which is none.
LOST_BY_NODE = 0.002
LOST_BY_NETWORK = 0.005
# Scores fade slowly (a thousandth of their points in an hour): each is worked out anew with what is
# found out about its node, and everybody's every so many jobs.
_REFRESH_JOBS = 1_000
RIGHT = "right"
_INFORMED_LIES = 4
_CHECK = Verification(VerifyMode.SPOT_CHECK)

Kind = Literal["honest", "cheat"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """Who is in the market.

    Attributes:
        cheats: which part of the nodes cheats.
        lies: in which part of its jobs a cheat gives a wrong result.
        proven: whether cheats have earned trust before; else they are newcomers.
        together: whether all wrong results of a job are the same one: lazy nodes that all return
            nothing, or one owner behind many wallets.
        informed: whether cheats know when they were last compared with others, and lie soon after
            that, when their share is lowest.
        noise: how often an honest machine's result is wrong.
    """

    cheats: float
    lies: float = 1.0
    proven: bool = False
    together: bool = False
    informed: bool = False
    nodes: int = 100
    noise: float = NOISE


@dataclass(slots=True, eq=False)
class SimNode:
    """One node.

    Attributes:
        unchecked: its runs since the last one that was compared with another's.
        since_lie: its runs since its first lie, that one included.
    """

    number: int
    kind: Kind
    tally: Tally
    unchecked: int = 0
    since_lie: int = 0
    refuted_at: int | None = None
    suspended_at: int | None = None


@dataclass(slots=True)
class Figures:
    """What came of a run.

    Attributes:
        jobs: that might have been checked; ``redundant``: runs that only checked others.
        honest_jobs: runs of honest nodes, those that check others included.
        honest_errors: how many of those were wrong.
        honest_wronged: how many right results of theirs were refuted.
        wrong_paid: jobs whose first result, which is paid, was wrong.
        refuted_after, suspended_after: of each cheat that told a lie: jobs of its own, from the first
            lie on, until it was refuted or suspended, None if it never was.
    """

    jobs: int = 0
    redundant: int = 0
    honest_jobs: int = 0
    honest_errors: int = 0
    honest_suspended: int = 0
    honest_wronged: int = 0
    wrong_paid: int = 0
    refuted_after: list[int | None] = field(default_factory=list)
    suspended_after: list[int | None] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Count another run too."""
        self.jobs += other.jobs
        self.redundant += other.redundant
        self.honest_jobs += other.honest_jobs
        self.honest_errors += other.honest_errors
        self.honest_suspended += other.honest_suspended
        self.honest_wronged += other.honest_wronged
        self.wrong_paid += other.wrong_paid
        self.refuted_after += other.refuted_after
        self.suspended_after += other.suspended_after


def within(jobs: int, after: list[int | None]) -> int:
    """How many of these happened within so many jobs."""
    return sum(number is not None and number <= jobs for number in after)


class CheatingMarket:
    """One run of a fleet."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.random = random.Random(f"{fleet} {seed}")
        self.now_ms = START_MS
        self.secret = self.random.randbytes(32)
        self.figures = Figures()
        self.nodes: list[SimNode] = []
        cheats = round(fleet.nodes * fleet.cheats)
        for number in range(fleet.nodes):
            cheat = number < cheats
            # One honest node in ten is new, too.
            new = not fleet.proven if cheat else number % 10 == 0
            self.nodes.append(
                SimNode(number, "cheat" if cheat else "honest", Tally(START_MS) if new else PROVEN)
            )
        self.weights = [node.tally.score_permille for node in self.nodes]
        # Their running sums, worked out anew when one has changed.
        self._sums: list[int] = []

    def run(self, jobs: int) -> Figures:
        """So many jobs, one after another."""
        for _ in range(jobs):
            self.do_next()
        lied = [node for node in self.nodes if node.since_lie]
        self.figures.refuted_after = [node.refuted_at for node in lied]
        self.figures.suspended_after = [node.suspended_at for node in lied]
        return self.figures

    def do_next(self) -> None:
        """One job, with what its check takes."""
        figures = self.figures
        self.now_ms += JOB_EVERY_MS
        if figures.jobs % _REFRESH_JOBS == 0:
            for node in self.nodes:
                self._weigh(node)
        first, answer = self._run(())
        assert first is not None, "not everybody is suspended"
        figures.wrong_paid += answer != RIGHT
        drawn = is_drawn(
            draw_permille(self.secret, f"job-{figures.jobs}", ""),
            first.tally.at(self.now_ms),
            first.unchecked,
            checkable=figures.jobs,
            redundant=figures.redundant,
        )
        figures.jobs += 1
        if drawn:
            first.unchecked = 0
            self._check(first, answer)
        else:
            first.unchecked += 1

    def _check(self, first: SimNode, answer: str) -> None:
        ran, answers = [first], [answer]
        runs = [Run("0", False, _result(answer))]
        while len(runs) < 2 or isinstance(judge(_CHECK, runs, same_files), RunAgain):
            other, answer = self._run(ran)
            if other is None:
                return
            self.figures.redundant += 1
            runs.append(Run(str(len(ran)), False, _result(answer)))
            ran.append(other)
            answers.append(answer)
        judgement = judge(_CHECK, runs, same_files)
        if not isinstance(judgement, Agreed):
            return
        for name in judgement.right:
            self._found(ran[int(name)], FindingKind.VERIFIED)
        for name in judgement.wrong:
            node = ran[int(name)]
            self._found(node, FindingKind.REFUTED)
            if node.kind == "honest" and answers[int(name)] == RIGHT:
                self.figures.honest_wronged += 1

    def _found(self, node: SimNode, kind: FindingKind) -> None:
        node.unchecked = 0
        node.tally = node.tally.after(Finding(kind, self.now_ms))
        self._weigh(node)
        if kind is FindingKind.REFUTED and node.refuted_at is None:
            node.refuted_at = node.since_lie
        if node.tally.suspended and node.suspended_at is None:
            node.suspended_at = node.since_lie
            if node.kind == "honest":
                self.figures.honest_suspended += 1
                self.on_honest_suspended(node)

    def on_honest_suspended(self, node: SimNode) -> None:
        """For who wants to know which."""

    def _run(self, ran: Sequence[SimNode]) -> tuple[SimNode | None, str]:
        """Who ran a job that these have run already, and what came of it; runs that are lost first."""
        while True:
            node = self.draw(ran)
            if node is None:
                return None, ""
            luck = self.random.random()
            if luck >= LOST_BY_NODE + LOST_BY_NETWORK:
                return node, self.answer(node)
            if luck < LOST_BY_NODE:
                lost = Finding(FindingKind.FAILED, self.now_ms, Outcome.NODE_LOST)
                node.tally = node.tally.after(lost)
                self._weigh(node)

    def draw(self, ran: Sequence[SimNode]) -> SimNode | None:
        """One of the others, by score."""
        if not self._sums:
            self._sums = list(itertools.accumulate(self.weights))
        total = self._sums[-1]
        if total <= sum(self.weights[node.number] for node in ran):
            return None
        while True:
            # Whoever is out is drawn again: the same as drawing among the others.
            drawn = self.nodes[bisect_right(self._sums, self.random.randrange(total))]
            if drawn not in ran:
                return drawn

    def _weigh(self, node: SimNode) -> None:
        weight = node.tally.at(self.now_ms).score_permille
        if weight != self.weights[node.number]:
            self.weights[node.number] = weight
            self._sums = []

    def answer(self, node: SimNode) -> str:
        """What a node's run comes to."""
        if node.kind == "honest":
            self.figures.honest_jobs += 1
            if self.random.random() >= self.fleet.noise:
                return RIGHT
            self.figures.honest_errors += 1
            return f"error {node.number}"
        lies = self._lies(node)
        if lies or node.since_lie:
            node.since_lie += 1
        if not lies:
            return RIGHT
        return "all" if self.fleet.together else f"lie {node.number}"

    def _lies(self, node: SimNode) -> bool:
        if self.fleet.informed:
            # About half of its runs are that soon after one that was compared.
            return node.unchecked < _INFORMED_LIES
        return self.random.random() < self.fleet.lies


def _result(text: str) -> Result:
    return Result(Outcome.COMPLETED, 0, "", 1, outputs=(OutputFile("out", text, 1),))
