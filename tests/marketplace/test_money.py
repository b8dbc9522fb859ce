from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.money import cost_micro_usdc, format_usdc, parse_usdc

amounts = st.integers(0, 10**15)


@given(amounts)
def test_what_is_shown_reads_back(micro_usdc: int) -> None:
    assert parse_usdc(format_usdc(micro_usdc)) == micro_usdc


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1.", ".5", "1.2345678", "1e3", "NaN", "\uff11", " 1", "1\n", "1" * 13]
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue, match="USDC"):
        parse_usdc(text)


def test_two_decimals_are_always_shown_and_no_more_than_needed() -> None:
    assert [format_usdc(value) for value in (0, 1, 10_000_000, 1_500_000, -20_000)] == [
        "0.00",
        "0.000001",
        "10.00",
        "1.50",
        "-0.02",
    ]


@given(amounts, st.integers(0, 10**9))
def test_the_node_is_never_underpaid_and_the_client_pays_less_than_one_micro_more(
    price: int, metered_ms: int
) -> None:
    exact = Fraction(price * metered_ms, 3_600_000)
    assert exact <= cost_micro_usdc(price, metered_ms) < exact + 1


@given(amounts, st.integers(0, 10**9), st.integers(0, 10**9))
def test_cost_never_falls_with_time(price: int, one_ms: int, more_ms: int) -> None:
    assert cost_micro_usdc(price, one_ms) <= cost_micro_usdc(price, one_ms + more_ms)


def test_negative_time_is_our_own_bug() -> None:
    with pytest.raises(InvalidValue):
        cost_micro_usdc(1, -1)
