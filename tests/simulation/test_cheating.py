"""Cheats are found, at the price that the page names, and honest nodes are left alone: with few seeds.

The table itself, with many, is made by `cheating_table`.
"""

import math
from collections import Counter
from pathlib import Path

import pytest

from neurogrid_marketplace import base58
from neurogrid_marketplace.matching import sample
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity

from .cheating import CheatingMarket, Figures, Fleet, within
from .cheating_rare import RAISED_NOISE, RUNS, bound, weighted
from .cheating_table import (
    BEGIN,
    END,
    JOBS_PER_NODE,
    PAGE,
    Kept,
    Row,
    broken,
    found_at_most,
    frontier,
    measure,
    rows,
)

SEEDS = 3


def measured(row: Row) -> Figures:
    figures = Figures()
    for seed in range(SEEDS):
        figures.add(measure((row, seed)))
    return figures


@pytest.mark.parametrize(
    "row",
    [row for row in rows() if row.promised and row.fleet.cheats == 0.2],
    ids=lambda row: row.words,
)
def test_cheats_are_found_within_fifty_jobs_and_honest_nodes_are_left_alone(row: Row) -> None:
    figures = measured(row)
    assert len(figures.suspended_after) == 24
    # One of them is four per cent: the table counts hundreds.
    assert within(50, figures.suspended_after) >= 23
    assert within(100, figures.suspended_after) == 24
    assert figures.redundant <= 0.1 * figures.jobs
    assert figures.honest_suspended == 0


def test_a_market_without_cheats_does_no_more_than_a_tenth_twice() -> None:
    nobody = Row("nobody", Fleet(0.0), 1)
    figures = measure((nobody, 0))
    assert figures.jobs == JOBS_PER_NODE * 100
    assert figures.suspended_after == []
    assert figures.honest_suspended == 0
    assert broken(nobody, figures) == []
    # What is allowed is made use of: about one run in six is compared.
    assert figures.redundant > 0.08 * figures.jobs


def test_a_promise_that_is_broken_is_told() -> None:
    row = next(rows())
    slow = Figures(jobs=1000, redundant=101, suspended_after=[*[10] * 98, 51, None])
    assert broken(row, slow) == [
        "1% wrong, new: only 98 suspended within 50 jobs",
        "1% wrong, new: 10.10% redundant",
    ]


def test_machines_that_err_far_too_often_are_suspended_no_more_often_than_the_bound_says() -> None:
    fleet = Fleet(0.0, nodes=8, noise=5e-3)
    figures = CheatingMarket(fleet, 0).run(15_000)
    assert 0 < figures.honest_suspended <= bound(fleet.noise) * figures.honest_jobs


def test_a_weighted_suspension_counts_one_where_nothing_was_raised_and_less_where_it_was() -> None:
    unlucky = next(seed for seed in range(100) if weighted(seed, RAISED_NOISE))
    assert weighted(unlucky, RAISED_NOISE) == 1.0
    # Two errors or a few more, each a tenth as likely, and all the runs that were right more so.
    assert 0 < weighted(unlucky, RAISED_NOISE / 10) < 0.1**2 * math.exp(RAISED_NOISE * RUNS)


def test_who_runs_a_job_is_drawn_as_the_market_draws() -> None:
    """Weighted by score, and of those that haven't run it; the simulator's draw is only faster."""
    market = CheatingMarket(Fleet(0.0, nodes=5), 0)
    market.weights[:] = weights = [950, 500, 250, 0, 900]
    taken = [market.nodes[4]]
    # Nobody draws a node of weight 0: it is not among the candidates.
    offers = [_offer(number) for number in (0, 1, 2)]
    by_id = {str(number): weight for number, weight in enumerate(weights)}
    draws = 3_000
    real: Counter[str] = Counter()
    fast: Counter[str] = Counter()
    for number in range(draws):
        real[sample(offers, f"job-{number}", size=1, weights=by_id)[0].node_id] += 1
        drawn = market.draw(taken)
        assert drawn is not None
        fast[str(drawn.number)] += 1
    assert set(real) == set(fast) == {"0", "1", "2"}
    for name in real:
        assert real[name] / draws == pytest.approx(by_id[name] / 1_700, abs=0.03)
        assert fast[name] / draws == pytest.approx(by_id[name] / 1_700, abs=0.03)
    assert market.draw([market.nodes[number] for number in (0, 1, 2, 4)]) is None


def test_no_lot_finds_more_than_the_bound_and_more_checks_find_more() -> None:
    assert found_at_most(0.5, 0.1) == pytest.approx(1 - 0.5 ** (50 * 0.2 / 1.1))
    assert found_at_most(0.25, 0.1) < 0.93 < found_at_most(0.25, 0.2)
    assert found_at_most(1.0, 0.05) == 1.0


def test_figures_that_were_kept_are_those_that_were_measured(tmp_path: Path) -> None:
    row = Row("few", Fleet(0.2, nodes=10), 1)
    figures = CheatingMarket(row.fleet, 0).run(200)
    path = tmp_path / "kept.json"
    Kept(path).keep(row, figures)
    assert Kept(path).of(row) == figures
    assert Kept(path).of(Row("more", row.fleet, 2)) is None


def test_the_page_has_a_row_for_everybody_and_the_bound() -> None:
    table = PAGE.read_text().split(BEGIN)[1].split(END)[0]
    for row in rows():
        assert f"| {row.words} |" in table
    assert frontier() in table


def _offer(number: int) -> Offer:
    room = Capacity(1000, 10**9, 10**9)
    owner = base58.encode(number.to_bytes(32, "big"))
    return Offer(str(number), owner, "sim/1", "local", room, room, PriceList())
