"""Prices of what a model reads and makes, as whoever writes a catalogue has them: decimal USDC. Pure.

What is demanded, bid, billed and signed has `units.UnitPrices`: whole micro-USDC for a million of each. A catalogue's are
those exactly (`CataloguePrices.exact`), in the words that people compare prices by.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .units import UnitPrices

# USDC of a million tokens: micro-USDC of a million of them is what it says.
_PerMillion = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?\Z")]
# USDC of one: a million of them in micro-USDC has twelve digits more.
_PerOne = Annotated[str, Meta(pattern=r"^[0-9]{1,6}(\.[0-9]{1,12})?\Z")]
_PER_MILLION_DIGITS, _PER_ONE_DIGITS = 6, 12
_MS_PER_S: Final = 1_000


class ModelUnit(StrEnum):
    """What is counted of a request to a model."""

    INPUT_TOKEN = "input_token"
    CACHED_INPUT_TOKEN = "cached_input_token"
    OUTPUT_TOKEN = "output_token"
    IMAGE = "image"
    AUDIO_SECOND = "audio_second"
    REQUEST = "request"


class CataloguePrices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What units cost; None: nothing. A price that no bid could name (`MAX_UNIT_PRICE`) is refused.

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
        self.exact()

    def said(self) -> dict[str, str]:
        """Those that there are, by their field, in USDC as they were written."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: price for name, price in fields.items() if price is not None}

    def exact(self) -> UnitPrices:
        """The same in micro-USDC for a million of each. Sound is counted in milliseconds there: what a million of them cost
        is rounded down, so that nobody asks more than was written.
        """
        cached = self.cached_input_per_million
        return UnitPrices(
            input_tokens=_exact(self.input_per_million, _PER_MILLION_DIGITS),
            cached_input_tokens=_exact(
                self.input_per_million if cached is None else cached, _PER_MILLION_DIGITS
            ),
            output_tokens=_exact(self.output_per_million, _PER_MILLION_DIGITS),
            images=_exact(self.per_image, _PER_ONE_DIGITS),
            audio_ms=_exact(self.per_audio_second, _PER_ONE_DIGITS) // _MS_PER_S,
            requests=_exact(self.per_request, _PER_ONE_DIGITS),
        )


def by_unit(prices: UnitPrices) -> dict[ModelUnit, int]:
    """Micro-USDC for a million of each unit, of those that cost anything."""
    priced = {
        ModelUnit.INPUT_TOKEN: prices.input_tokens,
        ModelUnit.CACHED_INPUT_TOKEN: prices.cached_input_tokens,
        ModelUnit.OUTPUT_TOKEN: prices.output_tokens,
        ModelUnit.IMAGE: prices.images,
        ModelUnit.AUDIO_SECOND: _MS_PER_S * prices.audio_ms,
        ModelUnit.REQUEST: prices.requests,
    }
    return {unit: price for unit, price in priced.items() if price}


def _exact(text: str | None, digits: int) -> int:
    whole, _, fraction = (text or "").partition(".")
    return int(whole + fraction.ljust(digits, "0"))
