"""Prices of units: exact to the micro-USDC over any number of requests."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.unit_price import ModelUnit, UnitPrices, units_cost_micro_usdc


def test_prices_are_read_to_the_last_digit() -> None:
    prices = UnitPrices(
        input_per_million="0.15",
        output_per_million="0.600001",
        per_image="0.002",
        per_audio_second="0.000016666667",
        per_request="0",
    )
    assert prices.micro_usdc_per_million() == {
        ModelUnit.INPUT_TOKEN: 150_000,
        # Not said: as what is read for the first time.
        ModelUnit.CACHED_INPUT_TOKEN: 150_000,
        ModelUnit.OUTPUT_TOKEN: 600_001,
        ModelUnit.IMAGE: 2_000_000_000,
        ModelUnit.AUDIO_SECOND: 16_666_667,
    }
    cached = UnitPrices(input_per_million="1", cached_input_per_million="0.1")
    assert cached.micro_usdc_per_million()[ModelUnit.CACHED_INPUT_TOKEN] == 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_per_million": "-1"},
        {"input_per_million": "0.0000001"},
        {"per_image": "1e3"},
        {"cached_input_per_million": "1"},
        {"input_per_million": "1", "cached_input_per_million": "2"},
        {"per_hour": "1"},
    ],
)
def test_no_other_price_is_taken(wrong: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, UnitPrices)


_PRICES = st.dictionaries(st.sampled_from(ModelUnit), st.integers(0, 10**12))
_COUNTS = st.dictionaries(st.sampled_from(ModelUnit), st.integers(0, 10**9))


@given(_PRICES, st.lists(_COUNTS, max_size=20))
def test_a_sum_is_rounded_up_once(
    prices: dict[ModelUnit, int], requests: list[dict[ModelUnit, int]]
) -> None:
    together = {unit: sum(each.get(unit, 0) for each in requests) for unit in ModelUnit}
    cost = units_cost_micro_usdc(prices, together)
    exact = sum(Fraction(prices.get(unit, 0) * count, 10**6) for unit, count in together.items())
    assert 0 <= cost - exact < 1
    assert cost <= sum(units_cost_micro_usdc(prices, each) for each in requests)


def test_nobody_is_paid_for_less_than_nothing() -> None:
    with pytest.raises(InvalidValue, match="from 0"):
        units_cost_micro_usdc({}, {ModelUnit.IMAGE: -1})
