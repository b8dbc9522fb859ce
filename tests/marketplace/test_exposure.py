from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.exposure import (
    METER_TOLERANCE_MS,
    must_pause,
    signable_micro_usdc,
    voucher_due,
)
from neurogrid_marketplace.money import cost_micro_usdc

prices = st.integers(0, 10**8)
times = st.integers(0, 10**7)


@given(prices, times, times, st.integers(0, 10**9))
def test_the_client_never_signs_ahead_of_what_it_saw_pass(
    price: int, metered_ms: int, elapsed_ms: int, max_cost: int
) -> None:
    amount = signable_micro_usdc(price, max_cost, metered_ms, elapsed_ms)
    assert amount <= max_cost
    assert amount <= cost_micro_usdc(price, metered_ms)
    assert amount <= cost_micro_usdc(price, elapsed_ms + METER_TOLERANCE_MS)


@given(st.integers(1, 10**8), times, times)
def test_a_node_that_pauses_is_owed_more_than_its_limit_and_else_not(
    price: int, metered_ms: int, limit_ms: int
) -> None:
    owed = cost_micro_usdc(price, metered_ms)
    assert must_pause(price, metered_ms, 0, limit_ms) == (owed > cost_micro_usdc(price, limit_ms))
    assert not must_pause(price, metered_ms, owed, limit_ms)


def test_a_voucher_is_due_after_each_interval() -> None:
    assert not voucher_due(29_999, 0, 30)
    assert voucher_due(30_000, 0, 30)
    assert not voucher_due(59_999, 30_000, 30)
