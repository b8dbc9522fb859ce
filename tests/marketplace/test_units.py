from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.units import (
    MAX_UNIT_PRICE,
    MAX_UNITS,
    MILLION,
    NAMES,
    NOTHING_SERVED,
    UnitPrices,
    Units,
)

# So many that a hundred of them together are still within the bounds.
some = st.builds(Units, *[st.integers(0, MAX_UNITS // 100)] * len(NAMES))
prices = st.builds(UnitPrices, *[st.integers(0, MAX_UNIT_PRICE)] * len(NAMES))


@given(prices, st.lists(some, max_size=20))
def test_what_requests_cost_adds_up_to_what_all_of_them_cost(
    price: UnitPrices, requests: list[Units]
) -> None:
    so_far, costs = NOTHING_SERVED, []
    for units in requests:
        costs.append(price.cost_of_next_micro_usdc(so_far, units))
        so_far += units
    assert sum(costs) == price.cost_micro_usdc(so_far)
    assert all(cost >= 0 for cost in costs)


@given(prices, some)
def test_a_cost_is_rounded_up_once(price: UnitPrices, units: Units) -> None:
    pairs = zip(plain(price).values(), plain(units).values(), strict=True)
    exact = sum(Fraction(int(str(each)) * int(str(count)), MILLION) for each, count in pairs)
    assert exact <= price.cost_micro_usdc(units) < exact + 1


@given(prices, some, some)
def test_more_never_costs_less(price: UnitPrices, units: Units, more: Units) -> None:
    assert price.cost_micro_usdc(units) <= price.cost_micro_usdc(units + more)


def test_the_most_of_everything_at_the_highest_prices_fits_64_bits() -> None:
    units, price = Units(*[MAX_UNITS] * 6), UnitPrices(*[MAX_UNIT_PRICE] * 6)
    assert price.cost_micro_usdc(units) < 2**63
    assert units + units == units


def test_a_token_of_a_million_for_a_dollar_is_a_micro_usdc() -> None:
    assert UnitPrices(output_tokens=1_000_000).cost_micro_usdc(Units(output_tokens=1)) == 1
    assert UnitPrices(output_tokens=200_000).cost_micro_usdc(Units(output_tokens=5)) == 1
    assert UnitPrices(output_tokens=200_000).cost_micro_usdc(Units(output_tokens=6)) == 2


@given(some, some)
def test_the_most_of_two_covers_both(one: Units, other: Units) -> None:
    assert one.most(other).covers(one)
    assert one.most(other).covers(other)
    assert one.covers(other) == (one.most(other) == one)


@pytest.mark.parametrize("count", [-1, MAX_UNITS + 1])
def test_what_is_out_of_bounds_is_refused_by_whoever_makes_or_reads_it(count: int) -> None:
    with pytest.raises(InvalidValue, match="output_tokens"):
        Units(output_tokens=count)
    with pytest.raises(MalformedMessage):
        decode(Units, {"output_tokens": count})
    with pytest.raises(MalformedMessage):
        decode(UnitPrices, {"images": MAX_UNIT_PRICE + 1})


def test_prices_are_scaled_down_and_compared_one_by_one() -> None:
    most = UnitPrices(input_tokens=1_001, output_tokens=600)
    assert most.scaled(500) == UnitPrices(input_tokens=500, output_tokens=300)
    assert most.scaled(500).is_within(most)
    assert not UnitPrices(images=1).is_within(most)


def test_units_are_told_without_what_there_is_none_of() -> None:
    assert Units(input_tokens=3, audio_ms=20).words() == "3 input tokens, 20 audio ms"
    assert NOTHING_SERVED.words() == "nothing"
