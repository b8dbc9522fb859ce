"""Units of what a model serves, and what they cost: tokens, images, audio, requests. Pure.

Prices are micro-USDC for a million units. A lease adds its units up and rounds their cost once, so bills, vouchers
and the chain agree to the micro-USDC; what one request of it costs is the difference of two such sums.
"""

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from .errors import InvalidValue

MILLION: Final = 1_000_000
# A hundred thousand million of anything, and ten USDC for one: no lease comes near either, and six such products
# together stay below 2^63 once they are divided by a million.
MAX_UNITS: Final = 10**11
MAX_UNIT_PRICE: Final = 10**13

UnitCount = Annotated[int, Meta(ge=0, le=10**11)]
UnitPrice = Annotated[int, Meta(ge=0, le=10**13)]


@dataclass(frozen=True, slots=True)
class Units:
    """How much was served. It is added up for each piece of each answer, so nothing here goes by names.

    Attributes:
        input_tokens: read anew; cached_input_tokens: read that the server still knew from before.
        output_tokens: written.
        images: made.
        audio_ms: of sound that was listened to, or made.
        requests: answered, whatever else they came to.
    """

    input_tokens: UnitCount = 0
    cached_input_tokens: UnitCount = 0
    output_tokens: UnitCount = 0
    images: UnitCount = 0
    audio_ms: UnitCount = 0
    requests: UnitCount = 0

    def __post_init__(self) -> None:
        if not (
            0 <= self.input_tokens <= MAX_UNITS
            and 0 <= self.cached_input_tokens <= MAX_UNITS
            and 0 <= self.output_tokens <= MAX_UNITS
            and 0 <= self.images <= MAX_UNITS
            and 0 <= self.audio_ms <= MAX_UNITS
            and 0 <= self.requests <= MAX_UNITS
        ):
            wrong = next(name for name in NAMES if not 0 <= getattr(self, name) <= MAX_UNITS)
            raise InvalidValue(f"{wrong} is between 0 and {MAX_UNITS}")

    def __add__(self, other: "Units") -> "Units":
        """Both together; what is beyond `MAX_UNITS` is not counted any more."""
        if other is NOTHING_SERVED:
            return self
        return Units(
            min(self.input_tokens + other.input_tokens, MAX_UNITS),
            min(self.cached_input_tokens + other.cached_input_tokens, MAX_UNITS),
            min(self.output_tokens + other.output_tokens, MAX_UNITS),
            min(self.images + other.images, MAX_UNITS),
            min(self.audio_ms + other.audio_ms, MAX_UNITS),
            min(self.requests + other.requests, MAX_UNITS),
        )

    def __sub__(self, other: "Units") -> "Units":
        """How much more it is. Raises InvalidValue: of some kind it is less."""
        return Units(
            self.input_tokens - other.input_tokens,
            self.cached_input_tokens - other.cached_input_tokens,
            self.output_tokens - other.output_tokens,
            self.images - other.images,
            self.audio_ms - other.audio_ms,
            self.requests - other.requests,
        )

    def covers(self, other: "Units") -> bool:
        """Whether it is at least as much, of each kind."""
        return all(getattr(self, name) >= getattr(other, name) for name in NAMES)

    def most(self, other: "Units") -> "Units":
        """Of each kind the greater of the two."""
        if other is self:
            return self
        return Units(
            max(self.input_tokens, other.input_tokens),
            max(self.cached_input_tokens, other.cached_input_tokens),
            max(self.output_tokens, other.output_tokens),
            max(self.images, other.images),
            max(self.audio_ms, other.audio_ms),
            max(self.requests, other.requests),
        )

    def words(self) -> str:
        """For people: what there is of it."""
        found = [(getattr(self, name), name.replace("_", " ")) for name in NAMES]
        return ", ".join(f"{count} {name}" for count, name in found if count) or "nothing"


NAMES: Final = (
    *("input_tokens", "cached_input_tokens", "output_tokens", "images", "audio_ms", "requests"),
)
NOTHING_SERVED: Final = Units()


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Micro-USDC for a million units of each kind; the names are those of `Units`."""

    input_tokens: UnitPrice = 0
    cached_input_tokens: UnitPrice = 0
    output_tokens: UnitPrice = 0
    images: UnitPrice = 0
    audio_ms: UnitPrice = 0
    requests: UnitPrice = 0

    def __post_init__(self) -> None:
        if not (
            0 <= self.input_tokens <= MAX_UNIT_PRICE
            and 0 <= self.cached_input_tokens <= MAX_UNIT_PRICE
            and 0 <= self.output_tokens <= MAX_UNIT_PRICE
            and 0 <= self.images <= MAX_UNIT_PRICE
            and 0 <= self.audio_ms <= MAX_UNIT_PRICE
            and 0 <= self.requests <= MAX_UNIT_PRICE
        ):
            wrong = next(name for name in NAMES if not 0 <= getattr(self, name) <= MAX_UNIT_PRICE)
            raise InvalidValue(
                f"a price of {wrong} is between 0 and {MAX_UNIT_PRICE} micro-USDC for a million"
            )

    def cost_micro_usdc(self, units: Units) -> int:
        """What so much costs, rounded up once; below 2^63."""
        exact = (
            self.input_tokens * units.input_tokens
            + self.cached_input_tokens * units.cached_input_tokens
            + self.output_tokens * units.output_tokens
            + self.images * units.images
            + self.audio_ms * units.audio_ms
            + self.requests * units.requests
        )
        return -(-exact // MILLION)

    def cost_of_next_micro_usdc(self, before: Units, units: Units) -> int:
        """What so much costs after what was served before it: such costs add up to that of the sum."""
        return self.cost_micro_usdc(before + units) - self.cost_micro_usdc(before)

    def is_within(self, most: "UnitPrices") -> bool:
        """Whether no price is above that one."""
        return all(getattr(self, name) <= getattr(most, name) for name in NAMES)

    def scaled(self, permille: int) -> "UnitPrices":
        """So many thousandths of each, rounded down."""
        return UnitPrices(*(getattr(self, name) * permille // 1000 for name in NAMES))


NO_PRICES: Final = UnitPrices()
