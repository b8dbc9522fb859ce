"""Prices of what a model reads and makes: so many micro-USDC for a million units, exactly. Pure.

Whole micro-USDC would be too coarse for a token. So units are added up at the price of a million, and the sum is rounded
once: bills, vouchers and the chain come to the same.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from .errors import InvalidValue

# USDC of a million tokens: micro-USDC of a million of them is what it says.
_PerMillion = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z")]
# USDC of one: a million of them in micro-USDC has twelve digits more.
_PerOne = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?\Z")]
_MILLION = 10**6
_PER_MILLION_DIGITS, _PER_ONE_DIGITS = 6, 12


class ModelUnit(StrEnum):
    """What is counted of a request to a model."""

    INPUT_TOKEN = "input_token"
    CACHED_INPUT_TOKEN = "cached_input_token"
    OUTPUT_TOKEN = "output_token"
    IMAGE = "image"
    AUDIO_SECOND = "audio_second"
    REQUEST = "request"


class UnitPrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What units cost; None: nothing.

    Attributes:
        input_per_million, cached_input_per_million, output_per_million: USDC for a million tokens that are read, that were
            read before (None: as those that are read), and that are written.
        per_image, per_audio_second, per_request: USDC for one.
    """

    input_per_million: _PerMillion | None = None
    cached_input_per_million: _PerMillion | None = None
    output_per_million: _PerMillion | None = None
    per_image: _PerOne | None = None
    per_audio_second: _PerOne | None = None
    per_request: _PerOne | None = None

    def __post_init__(self) -> None:
        cached = self.cached_input_per_million
        if cached is not None:
            if self.input_per_million is None:
                raise ValueError("cached_input_per_million goes with input_per_million")
            if _exact(cached, _PER_MILLION_DIGITS) > _exact(
                self.input_per_million, _PER_MILLION_DIGITS
            ):
                raise ValueError("cached_input_per_million is higher than input_per_million")

    def said(self) -> dict[str, str]:
        """Those that there are, by their field, in USDC as they were written."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: price for name, price in fields.items() if price is not None}

    def micro_usdc_per_million(self) -> dict[ModelUnit, int]:
        """Micro-USDC for a million units, of those that cost anything."""
        cached = self.cached_input_per_million
        said = {
            ModelUnit.INPUT_TOKEN: (self.input_per_million, _PER_MILLION_DIGITS),
            ModelUnit.CACHED_INPUT_TOKEN: (
                self.input_per_million if cached is None else cached,
                _PER_MILLION_DIGITS,
            ),
            ModelUnit.OUTPUT_TOKEN: (self.output_per_million, _PER_MILLION_DIGITS),
            ModelUnit.IMAGE: (self.per_image, _PER_ONE_DIGITS),
            ModelUnit.AUDIO_SECOND: (self.per_audio_second, _PER_ONE_DIGITS),
            ModelUnit.REQUEST: (self.per_request, _PER_ONE_DIGITS),
        }
        priced = {
            unit: _exact(text, digits) for unit, (text, digits) in said.items() if text is not None
        }
        return {unit: price for unit, price in priced.items() if price}


def units_cost_micro_usdc(prices: Mapping[ModelUnit, int], counts: Mapping[ModelUnit, int]) -> int:
    """What units come to, in micro-USDC; the sum is rounded up, once.

    Args:
        prices: micro-USDC for a million of each.

    Raises:
        InvalidValue: a count is negative.
    """
    if any(count < 0 for count in counts.values()):
        raise InvalidValue("units are counted from 0")
    whole = sum(prices.get(unit, 0) * count for unit, count in counts.items())
    return -(-whole // _MILLION)


def _exact(text: str, digits: int) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(digits, "0"))
