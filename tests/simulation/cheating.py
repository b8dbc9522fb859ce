"""A market with cheats in it, under the real rules: who is drawn, checked, refuted, suspended.

Everything that decides is the marketplace's own (`matching.sample`, `verification`, `reputation`);
here are only the nodes, which compute or don't, and a clock. One seed is one run.
"""

import random
from dataclasses import dataclass, field
from typing import Literal

from neurogrid_marketplace import base58
from neurogrid_marketplace.demand import VerifyMode
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.matching import sample
from neurogrid_marketplace.messages import Result
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.reputation import Finding, FindingKind, Tally
from neurogrid_marketplace.resources import Capacity
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
# How often an honest machine errs: memory without error correction, generously.
NOISE = 1e-5
# Scores fade slowly: everybody's is worked out anew every so many jobs, as a coordinator does.
_REFRESH_JOBS = 100
_CAPACITY = Capacity(1000, 10**9, 10**9)
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
    """

    cheats: float
    lies: float = 1.0
    proven: bool = False
    together: bool = False
    nodes: int = 100


@dataclass(slots=True)
class SimNode:
    """One node."""

    name: str
    kind: Kind
    tally: Tally
    unchecked: int = 0
    jobs: int = 0
    lies_told: int = 0
    suspended_at: int | None = None
    refuted_though_right: int = 0


@dataclass(slots=True)
class Figures:
    """What came of a run.

    Attributes:
        found_after: of each cheat that told a lie: jobs of its own until it was suspended, None if
            it never was.
    """

    jobs: int = 0
    redundant: int = 0
    honest_jobs: int = 0
    honest_suspended: int = 0
    honest_wronged: int = 0
    wrong_paid: int = 0
    found_after: list[int | None] = field(default_factory=list)

    def found_within(self, jobs: int) -> float:
        """Which part of the cheats was suspended within so many of their jobs."""
        found = sum(after is not None and after <= jobs for after in self.found_after)
        return found / len(self.found_after) if self.found_after else 1.0

    def add(self, other: "Figures") -> None:
        """Count another run too."""
        self.jobs += other.jobs
        self.redundant += other.redundant
        self.honest_jobs += other.honest_jobs
        self.honest_suspended += other.honest_suspended
        self.honest_wronged += other.honest_wronged
        self.wrong_paid += other.wrong_paid
        self.found_after += other.found_after


class CheatingMarket:
    """One run of a fleet."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.random = random.Random(f"{fleet} {seed}")
        self.now_ms = START_MS
        self.checkable = self.redundant = 0
        self.secret = self.random.randbytes(32)
        cheats = round(fleet.nodes * fleet.cheats)
        self.nodes: dict[str, SimNode] = {}
        self.offers: dict[str, Offer] = {}
        self.weights: dict[str, int] = {}
        for number in range(fleet.nodes):
            cheat = number < cheats
            # One honest node in ten is new, too.
            new = not fleet.proven if cheat else number % 10 == 0
            name = f"node-{number}"
            self.nodes[name] = SimNode(
                name, "cheat" if cheat else "honest", Tally(START_MS) if new else PROVEN
            )
            owner = base58.encode(number.to_bytes(32, "big"))
            self.offers[name] = Offer(
                name, owner, "sim/1", "local", _CAPACITY, _CAPACITY, PriceList()
            )

    def run(self, jobs: int) -> Figures:
        """So many jobs, one after another."""
        figures = Figures()
        for number in range(jobs):
            self.now_ms += JOB_EVERY_MS
            self._job(f"job-{number}", figures)
        figures.jobs, figures.redundant = self.checkable, self.redundant
        for node in self.nodes.values():
            if node.kind == "cheat" and node.lies_told:
                figures.found_after.append(node.suspended_at)
        return figures

    def _job(self, job: str, figures: Figures) -> None:
        first = self._draw(job, ())
        assert first is not None, "not everybody is suspended"
        result = self._work(first, job, figures)
        if result != _right(job):
            figures.wrong_paid += 1
        tally = first.tally.at(self.now_ms)
        drawn = is_drawn(
            draw_permille(self.secret, job, first.name),
            tally,
            first.unchecked,
            checkable=self.checkable,
            redundant=self.redundant,
        )
        self.checkable += 1
        first.unchecked = 0 if drawn else first.unchecked + 1
        if drawn:
            self._check(job, first, result, figures)

    def _check(self, job: str, first: SimNode, result: Result, figures: Figures) -> None:
        runs = [Run(first.name, False, result)]
        while len(runs) < 2 or isinstance(judge(_CHECK, runs, same_files), RunAgain):
            other = self._draw(f"{job}-{len(runs)}", tuple(run.task_id for run in runs))
            if other is None:
                return
            self.redundant += 1
            runs.append(Run(other.name, False, self._work(other, job, figures)))
        judgement = judge(_CHECK, runs, same_files)
        if not isinstance(judgement, Agreed):
            return
        answers = {run.task_id: run.answer for run in runs}
        for name in judgement.right + judgement.wrong:
            node = self.nodes[name]
            is_right = name in judgement.right
            kind = FindingKind.VERIFIED if is_right else FindingKind.REFUTED
            node.tally = node.tally.after(Finding(kind, self.now_ms))
            self._weigh(name)
            if not is_right and answers[name] == _right(job):
                node.refuted_though_right += 1
                figures.honest_wronged += node.kind == "honest"
            if node.tally.suspended and node.suspended_at is None:
                node.suspended_at = node.jobs
                figures.honest_suspended += node.kind == "honest"

    def _draw(self, job: str, taken: tuple[str, ...]) -> SimNode | None:
        if self.checkable % _REFRESH_JOBS == 0:
            for name in self.nodes:
                self._weigh(name)
        present = [
            offer for name, offer in self.offers.items() if self.weights[name] and name not in taken
        ]
        drawn = sample(present, f"{job} {self.secret.hex()}", size=1, weights=self.weights)
        return self.nodes[drawn[0].node_id] if drawn else None

    def _weigh(self, name: str) -> None:
        self.weights[name] = self.nodes[name].tally.at(self.now_ms).score_permille

    def _work(self, node: SimNode, job: str, figures: Figures) -> Result:
        node.jobs += 1
        if node.kind == "honest":
            figures.honest_jobs += 1
            return _wrong(job, node.name) if self.random.random() < NOISE else _right(job)
        if self.random.random() >= self.fleet.lies:
            return _right(job)
        node.lies_told += 1
        if node.lies_told == 1:
            # Found after so many jobs: counted from the first lie.
            node.jobs = 1
        return _wrong(job, "all" if self.fleet.together else node.name)


def _result(text: str) -> Result:
    return Result(Outcome.COMPLETED, 0, "", 1, outputs=(OutputFile("out", text, 1),))


def _right(job: str) -> Result:
    return _result(f"right {job}")


def _wrong(job: str, by: str) -> Result:
    return _result(f"wrong {job} {by}")
