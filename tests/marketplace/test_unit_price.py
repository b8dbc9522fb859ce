"""A catalogue's prices: exactly what bids and bills are in."""

import msgspec
import pytest

from neurogrid_marketplace.unit_price import CataloguePrices, ModelUnit, by_unit
from neurogrid_marketplace.units import UnitPrices


def test_prices_are_read_to_the_last_digit() -> None:
    prices = CataloguePrices(
        input_per_million="0.15",
        output_per_million="0.600001",
        per_image="0.002",
        per_audio_second="0.000016666667",
        per_request="0",
    ).exact()
    assert prices == UnitPrices(
        input_tokens=150_000,
        # Not said: as what is read for the first time.
        cached_input_tokens=150_000,
        output_tokens=600_001,
        images=2_000_000_000,
        # Of a thousandth of a second: nobody asks more than was written.
        audio_ms=16_666,
    )
    assert by_unit(prices) == {
        ModelUnit.INPUT_TOKEN: 150_000,
        ModelUnit.CACHED_INPUT_TOKEN: 150_000,
        ModelUnit.OUTPUT_TOKEN: 600_001,
        ModelUnit.IMAGE: 2_000_000_000,
        ModelUnit.AUDIO_SECOND: 16_666_000,
    }
    cached = CataloguePrices(input_per_million="1", cached_input_per_million="0.1")
    assert cached.exact().cached_input_tokens == 100_000


@pytest.mark.parametrize(
    "wrong",
    [
        {"input_per_million": "-1"},
        {"input_per_million": "0.0000001"},
        {"per_image": "1e3"},
        {"cached_input_per_million": "1"},
        {"input_per_million": "1", "cached_input_per_million": "2"},
        {"per_hour": "1"},
        # Beyond what a bid can name.
        {"per_image": "10.000001"},
    ],
)
def test_no_other_price_is_taken(wrong: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, CataloguePrices)
