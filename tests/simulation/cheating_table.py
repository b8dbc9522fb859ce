"""Makes the table of docs/verification.md, and fails if a promise is broken.

`python -m simulation.cheating_table --write` in tests/, some CPU minutes for each ten seeds; without
``--write`` it only checks, as the nightly run does.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path

from .cheating import CheatingMarket, Figures, Fleet

PAGE = Path(__file__).parents[2] / "docs" / "verification.md"
BEGIN, END = "<!-- cheating: begin -->\n", "<!-- cheating: end -->\n"
SEEDS = 40
# So many for each node: the fifty of the promise, and some more.
JOBS_PER_NODE = 80
# What is promised: of cheats that always lie, and of newcomers that lie in half or a quarter.
FOUND_WITHIN_JOBS = 50
FOUND_LEAST = 0.99
REDUNDANT_MOST = 0.10


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table; ``promised``: whether `FOUND_LEAST` holds for it."""

    words: str
    fleet: Fleet
    promised: bool = True


def rows() -> Iterator[Row]:
    """Every line."""
    for cheats in (0.01, 0.05, 0.10, 0.20):
        share, fleet = f"{cheats:.0%}", Fleet(cheats, nodes=100 if cheats < 0.05 else 40)
        half = replace(fleet, lies=0.5)
        yield Row(f"{share} wrong, new", fleet)
        yield Row(f"{share} wrong, trusted before", replace(fleet, proven=True))
        yield Row(f"{share} lazy in half, new", half)
        yield Row(f"{share} lazy in half, trusted before", replace(half, proven=True), False)
    yield Row("20% lazy in a quarter, new", Fleet(0.2, 0.25, nodes=40), False)
    yield Row("20% lazy in half, new, all alike", Fleet(0.2, 0.5, together=True, nodes=40))
    yield Row(
        "20% lazy in half, trusted before, all alike",
        Fleet(0.2, 0.5, proven=True, together=True, nodes=40),
        False,
    )


def broken(row: Row, figures: Figures) -> list[str]:
    """Which promises these figures break."""
    found = figures.found_within(FOUND_WITHIN_JOBS)
    failed = []
    if row.promised and found < FOUND_LEAST:
        failed.append(f"{row.words}: only {found:.1%} found within {FOUND_WITHIN_JOBS} jobs")
    if figures.redundant > REDUNDANT_MOST * figures.jobs:
        failed.append(f"{row.words}: {figures.redundant / figures.jobs:.2%} redundant")
    if figures.honest_suspended * 1_000_000 > figures.honest_jobs:
        failed.append(f"{row.words}: {figures.honest_suspended} honest nodes suspended")
    return failed


def line(row: Row, figures: Figures) -> str:
    """A row in Markdown."""
    return (
        f"| {row.words} | {len(figures.found_after)} | {figures.found_within(50):.1%} "
        f"| {figures.found_within(100):.1%} | {figures.redundant / figures.jobs:.1%} "
        f"| {figures.honest_suspended} of {figures.honest_jobs:,} jobs | {figures.honest_wronged} "
        f"| {figures.wrong_paid / figures.jobs:.2%} |\n"
    )


HEAD = (
    "| cheats | their number | suspended within 50 jobs | within 100 | redundant work "
    "| honest nodes suspended | right results refuted | wrong results paid |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def measure(work: tuple[Row, int]) -> Figures:
    """One run."""
    row, seed = work
    return CheatingMarket(row.fleet, seed).run(JOBS_PER_NODE * row.fleet.nodes)


def main() -> int:
    """Measure every row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    wanted = parser.parse_args()
    table, failed, everything = HEAD, [], Figures()
    with Pool() as pool:
        for row in rows():
            figures = Figures()
            for each in pool.imap_unordered(measure, [(row, seed) for seed in range(wanted.seeds)]):
                figures.add(each)
            everything.add(figures)
            table += line(row, figures)
            failed += broken(row, figures)
            print(line(row, figures), end="", flush=True)
    summary = (
        f"{wanted.seeds} seeds, {JOBS_PER_NODE} jobs for each node: "
        f"{everything.honest_suspended} honest nodes suspended in {everything.honest_jobs:,} honest "
        "runs, of all rows together.\n\n"
    )
    if wanted.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(before + BEGIN + summary + table + END + after)
    print(summary + "\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
