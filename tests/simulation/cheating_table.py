"""Makes the tables of docs/verification.md, and fails if a promise is broken.

`python -m simulation.cheating_table --write` in tests/, ten CPU minutes; without ``--write`` it only
checks, as the nightly run does. ``--kept FILE`` goes on where a run that was broken off has stopped.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import Pool
from pathlib import Path

import msgspec

from .cheating import NOISE, CheatingMarket, Figures, Fleet, within
from .cheating_rare import bound, rare

PAGE = Path(__file__).parents[2] / "docs" / "verification.md"
BEGIN, END = "<!-- cheating: begin -->\n", "<!-- cheating: end -->\n"
RARE_SEEDS = 300
# So many for each node: the hundred of the table, and some more.
JOBS_PER_NODE = 150
# What is promised, where a row says so.
FOUND_WITHIN_JOBS = 50
FOUND_LEAST = 0.99
REDUNDANT_MAX = 0.10
SUSPENDED_MAX = 1e-6


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        seeds: in how many markets it is measured: those with few cheats in more, and those in more whose
            figures are near to what is promised.
        promised: whether `FOUND_LEAST` holds for it.
    """

    words: str
    fleet: Fleet
    seeds: int
    promised: bool = True


def rows() -> Iterator[Row]:
    """Every line."""
    for cheats, seeds in ((0.01, 80), (0.05, 240), (0.10, 240), (0.20, 120)):
        share, fleet = f"{cheats:.0%}", Fleet(cheats, nodes=100 if cheats < 0.05 else 40)
        half = replace(fleet, lies=0.5)
        yield Row(f"{share} wrong, new", fleet, seeds // 4)
        yield Row(f"{share} wrong, trusted before", replace(fleet, proven=True), seeds // 4)
        yield Row(f"{share} lazy in half, new", half, seeds)
        yield Row(f"{share} lazy in half, trusted before", replace(half, proven=True), seeds)
    alike = Fleet(0.2, 0.5, together=True, nodes=40)
    yield Row("20% lazy in half, new, all alike", alike, 120)
    yield Row(
        "20% lazy in half, trusted before, all alike", replace(alike, proven=True), 120, False
    )
    trusted = Fleet(0.1, 0.5, proven=True, nodes=40)
    yield Row(
        "10% lazy in half, trusted before, informed", replace(trusted, informed=True), 120, False
    )
    for words, lies in (("a quarter", 0.25), ("a tenth", 0.1)):
        some = replace(trusted, lies=lies)
        yield Row(f"10% lazy in {words}, new", replace(some, proven=False), 60, False)
        yield Row(f"10% lazy in {words}, trusted before", some, 60, False)


def broken(row: Row, figures: Figures) -> list[str]:
    """Which promises these figures break."""
    failed = []
    found = within(FOUND_WITHIN_JOBS, figures.suspended_after)
    if row.promised and found < FOUND_LEAST * len(figures.suspended_after):
        failed.append(f"{row.words}: only {found} suspended within {FOUND_WITHIN_JOBS} jobs")
    if figures.redundant > REDUNDANT_MAX * figures.jobs:
        failed.append(f"{row.words}: {figures.redundant / figures.jobs:.2%} redundant")
    return failed


def found_at_most(lies: float, redundant: float, jobs: int = FOUND_WITHIN_JOBS) -> float:
    """Which part of liars any lot can find among so many of their jobs, at most.

    A redundant run compares two runs. So ``2 r / (1 + r)`` of all runs are compared, each of which
    tells a lie with the odds ``lies``, and ``(1 - lies) ** compared`` is convex.
    """
    compared = jobs * 2 * redundant / (1 + redundant)
    return 1 - math.pow(1 - lies, compared)


HEAD = (
    "| cheats | their number | refuted within 50 jobs | suspended within 50 | within 100 "
    "| redundant work | honest nodes suspended | right results refuted | wrong results paid |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def line(row: Row, figures: Figures) -> str:
    """A row in Markdown."""
    refuted, suspended = figures.refuted_after, figures.suspended_after
    number = len(suspended)
    return (
        f"| {row.words} | {number} | {within(50, refuted) / number:.1%} "
        f"| {within(50, suspended) / number:.1%} | {within(100, suspended) / number:.1%} "
        f"| {figures.redundant / figures.jobs:.1%} "
        f"| {figures.honest_suspended} of {figures.honest_jobs:,} jobs | {figures.honest_wronged} "
        f"| {figures.wrong_paid / figures.jobs:.2%} |\n"
    )


def frontier() -> str:
    """What no lot can do better, in Markdown."""
    redundant = (0.05, 0.10, 0.15, 0.20, 0.30)
    table = "| lies in | " + " | ".join(f"{part:.0%} redundant" for part in redundant) + " |\n"
    table += "|---" * (1 + len(redundant)) + "|\n"
    for lies in (1.0, 0.5, 0.25, 0.1):
        cells = " | ".join(f"{found_at_most(lies, part):.1%}" for part in redundant)
        table += f"| {lies:.0%} of its jobs | {cells} |\n"
    return table


def measure(work: tuple[Row, int]) -> Figures:
    """One run."""
    row, seed = work
    return CheatingMarket(row.fleet, seed).run(JOBS_PER_NODE * row.fleet.nodes)


class Kept:
    """The figures of rows that were measured before; in a file, if one is named."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._figures: dict[str, Figures] = {}
        if path is not None and path.exists():
            self._figures = msgspec.json.decode(path.read_bytes(), type=dict[str, Figures])

    def of(self, row: Row) -> Figures | None:
        """What was measured of exactly this fleet and so many seeds."""
        return self._figures.get(f"{row.fleet} {row.seeds}")

    def keep(self, row: Row, figures: Figures) -> None:
        """For the next time."""
        self._figures[f"{row.fleet} {row.seeds}"] = figures
        if self._path is not None:
            self._path.write_bytes(msgspec.json.encode(self._figures))


def honest(everything: Figures) -> str:
    """What is known of honest nodes, in Markdown."""
    seen, jobs = everything.honest_suspended, everything.honest_jobs
    estimate = rare(RARE_SEEDS)
    return (
        f"Honest nodes, all rows together: {seen} suspended in {jobs:,} runs, of which "
        f"{everything.honest_errors} were wrong. By the rules, without cheats in league: at most "
        f"{bound(NOISE) * 1e9:.0f} in 1,000,000,000 runs. By {RARE_SEEDS} weighted ones: "
        f"{estimate.share * 1e9:.1f} ± {estimate.error * 1e9:.1f} ({estimate.seen} suspensions).\n"
    )


def main() -> int:
    """Measure every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the tables into the page")
    parser.add_argument("--kept", type=Path, help="a file for the figures of rows already measured")
    wanted = parser.parse_args()
    kept = Kept(wanted.kept)
    table, failed, everything = HEAD, [], Figures()
    with Pool() as pool:
        for row in rows():
            figures = kept.of(row)
            if figures is None:
                figures = Figures()
                for each in pool.imap_unordered(measure, [(row, n) for n in range(row.seeds)]):
                    figures.add(each)
                kept.keep(row, figures)
            everything.add(figures)
            table += line(row, figures)
            failed += broken(row, figures)
            print(line(row, figures), end="", flush=True)
    if everything.honest_suspended > SUSPENDED_MAX * everything.honest_jobs:
        failed.append(f"{everything.honest_suspended} honest nodes suspended")
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    made = (
        f"{when}, `cheating_table --write`: {everything.jobs:,} jobs, {JOBS_PER_NODE} for each node, "
        f"in {sum(row.seeds for row in rows()):,} markets (`rows()` there says which seeds).\n\n"
    )
    told = honest(everything)
    if wanted.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(
            before + BEGIN + made + table + "\n" + told + "\n" + frontier() + END + after
        )
    print(made + told + "\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
