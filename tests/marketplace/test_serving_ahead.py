"""Answering before an escrow is seen: the bound, and a day's memory of what was never paid."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.offer import LeasePhase
from neurogrid_marketplace.serving_ahead import (
    LOSS_KEPT_MS,
    NO_LOSS,
    is_ahead,
    must_wait_ahead,
    never_came,
    takes_ahead,
)

from .test_use_steps import after


@pytest.mark.parametrize("phase", LeasePhase)
def test_only_what_waits_for_its_escrow_is_ahead(phase: LeasePhase) -> None:
    lease = replace(after(), phase=phase)
    assert is_ahead(lease) == (phase in (LeasePhase.ACCEPTED, LeasePhase.PREPARING))
    assert not is_ahead(replace(lease, use=None))
    assert not is_ahead(replace(lease, stop_reason=Outcome.CANCELLED))
    assert not never_came(lease)
    assert never_came(replace(lease, started_at_ms=0))


def test_requests_begin_below_the_limit_and_pass_to_it() -> None:
    assert takes_ahead(50, 49, 100)
    assert not takes_ahead(50, 50, 100)
    assert not must_wait_ahead(50, 50, 100)
    assert must_wait_ahead(50, 51, 100)
    assert not takes_ahead(0, 0, 0)


def test_a_loss_is_remembered_for_a_day_from_its_first() -> None:
    loss = NO_LOSS.more(3, 1_000).more(4, 2_000)
    assert loss.at(LOSS_KEPT_MS + 999) == 7
    assert loss.at(LOSS_KEPT_MS + 1_000) == 0
    assert loss.more(5, LOSS_KEPT_MS + 1_000).at(LOSS_KEPT_MS + 2_000) == 5


@given(st.lists(st.tuples(st.integers(0, 3_600_000), st.integers(1, 50)), max_size=50))
def test_no_day_costs_more_than_the_limit_and_one_answer(steps: list[tuple[int, int]]) -> None:
    limit, loss, now_ms, taken = 100, NO_LOSS, 1, []
    for later_ms, cost in steps:
        now_ms += later_ms
        if takes_ahead(0, loss.at(now_ms), limit):
            loss = loss.more(cost, now_ms)
            taken.append((now_ms, cost))
    for begin_ms, _ in taken:
        # Two bounds meet where one day's memory ends in the middle.
        day = sum(cost for at_ms, cost in taken if begin_ms <= at_ms < begin_ms + LOSS_KEPT_MS)
        assert day < 2 * (limit + 50)
