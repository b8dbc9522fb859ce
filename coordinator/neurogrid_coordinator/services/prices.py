"""Prices: what awards cleared at, and what a task would likely cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.estimate import Estimate, estimate
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.price_history import (
    HOUR_MS,
    PriceClass,
    PriceHour,
    PriceSummary,
    class_of,
    summary,
)

from ..store import prices
from ..store.accounts import Account
from ..store.database import Database
from .balances import Balances
from .submission import Submission
from .tasks import Tasks

# Classes that one answer lists: those with most awards.
CLASSES_MAX = 100
# What an estimate takes into account.
_ESTIMATE_MS = 7 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class ClassPrices:
    """One class: all of its hours together, and each."""

    summary: PriceSummary
    hours: tuple[PriceHour, ...]


@dataclass(frozen=True, slots=True)
class EstimateDetail:
    """An estimate with what it is made of.

    Attributes:
        bought: what ``before`` is counted by.
        available_micro_usdc: what the account can spend.
    """

    estimate: Estimate
    demand: Demand
    explanation: Explanation
    bought: PriceClass
    before: PriceSummary | None
    available_micro_usdc: int


class Prices:
    """What clients may know about prices.

    Args:
        offer_of: what a node offers; None where it is not connected.
    """

    def __init__(
        self,
        database: Database,
        tasks: Tasks,
        balances: Balances,
        offer_of: Callable[[str], Offer | None],
    ) -> None:
        self._database = database
        self._tasks = tasks
        self._balances = balances
        self._offer_of = offer_of

    async def history(self, hours: int, name: str | None = None) -> list[ClassPrices]:
        """The classes of the last hours (or one), those with most awards first."""
        since_ms = _now_ms() - hours * HOUR_MS
        return by_class(await self._database.read(prices.since, since_ms, name))[:CLASSES_MAX]

    async def estimate(self, account: Account, wanted: Submission) -> EstimateDetail:
        """What such a task would likely cost and when it would start; nothing is stored.

        Raises:
            InvalidRequest, Unavailable.
        """
        explanation, demand = await self._tasks.explain(account, wanted)
        asks = explanation.asks
        bought = class_of(demand, None if asks is None else self._offer_of(asks.cheapest))
        since_ms = _now_ms() - _ESTIMATE_MS
        before = summary(await self._database.read(prices.since, since_ms, bought.name))
        balance = await self._balances.of(account)
        return EstimateDetail(
            estimate(demand, bought, explanation, before),
            demand,
            explanation,
            bought,
            before,
            balance.available_micro_usdc,
        )


def by_class(hours: list[PriceHour]) -> list[ClassPrices]:
    """The classes of these hours, those with most awards first."""
    by_name: dict[str, list[PriceHour]] = {}
    for hour in hours:
        by_name.setdefault(hour.name, []).append(hour)
    classes = [
        ClassPrices(together, tuple(of_class))
        for of_class in by_name.values()
        if (together := summary(of_class)) is not None
    ]
    classes.sort(key=lambda each: (-each.summary.awards, each.summary.name))
    return classes


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
