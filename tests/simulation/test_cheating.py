"""Cheats are found, at the price that the page names, and honest nodes are left alone: with few seeds.

The table itself, with many, is made by `cheating_table`.
"""

from dataclasses import replace

import pytest

from .cheating import CheatingMarket, Figures, Fleet
from .cheating_table import BEGIN, END, PAGE, Row, broken, rows

# Twenty nodes instead of a hundred, so that each has its fifty jobs soon.
NODES, JOBS, SEEDS = 20, 2_000, 5


def measured(fleet: Fleet) -> Figures:
    figures = Figures()
    for seed in range(SEEDS):
        figures.add(CheatingMarket(replace(fleet, nodes=NODES), seed).run(JOBS))
    return figures


@pytest.mark.parametrize(
    "row",
    [row for row in rows() if row.promised and row.fleet.cheats == 0.2],
    ids=lambda row: row.words,
)
def test_cheats_are_found_within_fifty_jobs_and_honest_nodes_are_left_alone(row: Row) -> None:
    figures = measured(row.fleet)
    assert len(figures.found_after) == 20
    assert broken(row, figures) == []


def test_a_market_without_cheats_does_no_more_than_a_tenth_twice() -> None:
    nobody = Fleet(0.0)
    figures = measured(nobody)
    assert figures.found_after == []
    assert broken(Row("nobody", nobody), figures) == []


def test_the_page_has_a_row_for_everybody() -> None:
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    for row in rows():
        assert f"| {row.words} |" in table
