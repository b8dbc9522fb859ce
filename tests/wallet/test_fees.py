import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_wallet.fees import (
    FeePolicy,
    budget_for_attempt,
    limit_with_margin,
    percentile_of,
)
from neurogrid_wallet.transactions import COMPUTE_UNITS_MAX, ComputeBudget

BUDGET = ComputeBudget(100_000)
RECENT = [0, 500, 100, 300, 200]


def test_a_percentile_is_one_of_the_prices() -> None:
    assert [percentile_of(RECENT, share) for share in (1, 20, 21, 50, 80, 81, 100)] == [
        *(0, 0, 100, 200, 300, 500, 500)
    ]
    assert percentile_of([], 50) == 0


def test_the_dearest_of_the_lower_bounds_counts() -> None:
    policy = FeePolicy(unit_price_micro_lamports=150, percentile=50)
    assert budget_for_attempt(policy, BUDGET, RECENT, dead_attempts=0) == ComputeBudget(
        100_000, 200
    )
    assert budget_for_attempt(policy, BUDGET, [], dead_attempts=0).unit_price_micro_lamports == 150
    wanted = ComputeBudget(100_000, 900)
    assert budget_for_attempt(policy, wanted, RECENT, dead_attempts=0) == wanted


def test_nothing_is_asked_for_and_nothing_is_paid_by_default() -> None:
    assert budget_for_attempt(FeePolicy(), BUDGET, RECENT, dead_attempts=3) == BUDGET


def test_each_dead_attempt_makes_the_next_one_dearer() -> None:
    policy = FeePolicy(unit_price_micro_lamports=1000)
    prices = [
        budget_for_attempt(policy, BUDGET, (), dead_attempts=dead).unit_price_micro_lamports
        for dead in range(4)
    ]
    assert prices == [1000, 1500, 2250, 3375]


@given(
    price=st.integers(0, 2**64 - 1),
    recent=st.lists(st.integers(0, 2**63 - 1), max_size=150),
    units=st.integers(1, COMPUTE_UNITS_MAX),
    extra=st.integers(0, 5000),
    dead=st.integers(0, 60),
    cap=st.integers(0, 10**9),
)
def test_the_priority_of_a_transaction_never_costs_more_than_the_cap(
    price: int, recent: list[int], units: int, extra: int, dead: int, cap: int
) -> None:
    policy = FeePolicy(percentile=90, cap_lamports=cap)
    wanted = ComputeBudget(units, price)
    budget = budget_for_attempt(policy, wanted, recent, dead_attempts=dead, extra_units=extra)
    assert budget.unit_limit == units
    paid_units = min(units + extra, COMPUTE_UNITS_MAX)
    assert budget.unit_price_micro_lamports * paid_units <= cap * 1_000_000


def test_the_limit_is_what_was_used_and_a_margin() -> None:
    assert limit_with_margin(10_000, 20) == 12_000
    assert limit_with_margin(0, 20) == 1
    assert limit_with_margin(1_400_000, 20) == COMPUTE_UNITS_MAX


@pytest.mark.parametrize(
    "wrong",
    [
        {"percentile": 0},
        {"percentile": 101},
        {"cap_lamports": -1},
        {"raise_percent": -1},
        {"unit_price_micro_lamports": 10**13},
        {"limit_margin_percent": -1},
    ],
)
def test_a_policy_out_of_bounds_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be between"):
        FeePolicy(**wrong)
