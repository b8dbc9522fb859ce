"""What awards cleared at: prices that compare, gathered by the hour.

A price is noted per unit of what it buys most of: per GPU where there are any, by the GPU's model,
else per core. What a job's memory costs is part of it. An hour keeps counts of rounded values, so
that it stays small whatever happens in it, and a median of many hours can still be told.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .attributes import NodeFacts
from .demand import Demand
from .judgement import narrowed
from .offer import Offer

HOUR_MS = 3_600_000
CPU = "cpu"
# Preemptible tasks are a class of their own beside each: they buy less.
SPOT = " spot"
# A GPU of which nobody says what it is: its node is not connected any more.
UNKNOWN_GPU = "gpu"
# Values are kept to so many binary digits: 3 % apart.
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class PriceClass:
    """What a price is the price of.

    Attributes:
        name: a GPU's model, or ``CPU``; of preemptible tasks with ``SPOT`` behind it.
        units_milli: thousandths of GPUs, or of cores.
    """

    name: str
    units_milli: int

    @property
    def unit(self) -> str:
        """What one unit is, for people."""
        return unit_of(self.name)

    def per_unit(self, price_micro_usdc: int) -> int:
        """A price's part for one unit, rounded up."""
        return -(-price_micro_usdc * 1000 // max(1, self.units_milli))

    def whole(self, per_unit_micro_usdc: int) -> int:
        """The price of all units; the inverse of `per_unit`."""
        return -(-per_unit_micro_usdc * self.units_milli // 1000)


def unit_of(name: str) -> Literal["core", "GPU"]:
    """What one unit of a class is, for people."""
    return "core" if name.removesuffix(SPOT) == CPU else "GPU"


def class_of(demand: Demand, offer: Offer | None) -> PriceClass:
    """What a demand buys of this node: of its GPUs those that it would get.

    Args:
        offer: None where it is not known.
    """
    need = demand.requirements
    kind = SPOT if demand.preemptible else ""
    if not need.gpu_count:
        return PriceClass(CPU + kind, need.cpu_millis)
    name = UNKNOWN_GPU
    if offer is not None:
        suitable = narrowed(offer.total, NodeFacts(offer, demand)).suitable_gpus(need)
        name = (suitable[0].model if suitable else "") or UNKNOWN_GPU
    return PriceClass(name + kind, need.gpu_count * 1000)


@dataclass(frozen=True, slots=True)
class PriceHour:
    """The awards of one class in one hour. Prices per unit and hour, micro-USDC.

    Attributes:
        at_ms: when the hour began.
        prices, starts: rounded value -> how many; starts: expected time to start, milliseconds.
    """

    name: str
    at_ms: int
    lowest_micro_usdc: int
    highest_micro_usdc: int
    prices: Mapping[int, int] = field(default_factory=dict)
    starts: Mapping[int, int] = field(default_factory=dict)

    def with_award(self, per_unit_micro_usdc: int, start_ms: int) -> "PriceHour":
        """The hour with one award more."""
        return PriceHour(
            self.name,
            self.at_ms,
            min(self.lowest_micro_usdc, per_unit_micro_usdc),
            max(self.highest_micro_usdc, per_unit_micro_usdc),
            _with(self.prices, per_unit_micro_usdc),
            _with(self.starts, start_ms),
        )


def first_award(name: str, now_ms: int, per_unit_micro_usdc: int, start_ms: int) -> PriceHour:
    """An hour that begins with this award."""
    empty = PriceHour(name, now_ms // HOUR_MS * HOUR_MS, per_unit_micro_usdc, per_unit_micro_usdc)
    return empty.with_award(per_unit_micro_usdc, start_ms)


@dataclass(frozen=True, slots=True)
class PriceSummary:
    """Some hours of one class together; the median and the others between are within 3 %.

    Attributes:
        high_micro_usdc: nine of ten awards were no dearer.
        start_ms: half of the awards expected to start no later.
    """

    name: str
    awards: int
    lowest_micro_usdc: int
    median_micro_usdc: int
    high_micro_usdc: int
    highest_micro_usdc: int
    start_ms: int


def summary(hours: Iterable[PriceHour]) -> PriceSummary | None:
    """Hours of one class together; None if there are none."""
    together = list(hours)
    if not together:
        return None
    prices: Counter[int] = Counter()
    starts: Counter[int] = Counter()
    for hour in together:
        prices.update(hour.prices)
        starts.update(hour.starts)
    lowest = min(hour.lowest_micro_usdc for hour in together)
    highest = max(hour.highest_micro_usdc for hour in together)

    def price_at(permille: int) -> int:
        return min(highest, max(lowest, _quantile(prices, permille)))

    return PriceSummary(
        name=together[0].name,
        awards=prices.total(),
        lowest_micro_usdc=lowest,
        median_micro_usdc=price_at(500),
        high_micro_usdc=price_at(900),
        highest_micro_usdc=highest,
        start_ms=_quantile(starts, 500),
    )


def _with(counts: Mapping[int, int], value: int) -> dict[int, int]:
    rounded = _rounded(value)
    return {**counts, rounded: counts.get(rounded, 0) + 1}


def _rounded(value: int) -> int:
    """To ``_DIGITS`` binary digits, to the middle of what is rounded to the same."""
    shift = max(0, value.bit_length() - _DIGITS)
    return (value >> shift << shift) + (1 << shift >> 1)


def _quantile(counts: Counter[int], permille: int) -> int:
    """The smallest value that so many of a thousand do not exceed."""
    wanted = -(-counts.total() * permille // 1000)
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    raise AssertionError("there is at least one value")
