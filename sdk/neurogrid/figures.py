# Made from aio/figures.py by scripts/unasync.py: change that one, and run it.
"""Figures of the market and of the account, and the limits that it sets itself."""

from decimal import Decimal
from typing import Literal

from .models.figures import (
    AccountLimits,
    MarketGpus,
    MarketPerformance,
    MarketStats,
    TaskMetrics,
    Usage,
)
from .transport import Transport

Timeframe = Literal["1h", "24h", "7d", "30d"]
Period = Literal["hour", "day", "week", "month"]


class Analytics:
    """What has happened."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get_usage(self) -> Usage:
        """The account's month so far, and its own limits."""
        return self._transport.call(Usage, "GET", "/analytics/usage")

    def get_stats(self) -> MarketStats:
        """Figures of the market, of all accounts together."""
        return self._transport.call(MarketStats, "GET", "/analytics/stats")

    def get_gpus(self) -> MarketGpus:
        """The market's GPUs: how many, how many are taken, and how busy they are."""
        return self._transport.call(MarketGpus, "GET", "/analytics/gpus")

    def get_performance(
        self, timeframe: Timeframe = "24h", *, metric: str | None = None
    ) -> MarketPerformance:
        """How the market has performed.

        Args:
            metric: this one alone, such as "success_rate".
        """
        params = {"timeframe": timeframe} | ({"metric": metric} if metric is not None else {})
        return self._transport.call(
            MarketPerformance, "GET", "/analytics/performance", params=params
        )

    def get_task_metrics(
        self, period: Period = "day", *, type: Literal["gpu", "cpu"] | None = None
    ) -> TaskMetrics:
        """How the account's tasks went that ended within the period."""
        params = {"period": period} | ({"type": type} if type is not None else {})
        return self._transport.call(TaskMetrics, "GET", "/metrics/tasks", params=params)


class Limits:
    """What the account lets itself spend, and how many requests it may send."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def get(self) -> AccountLimits:
        """The limits, with what of them is used."""
        return self._transport.call(AccountLimits, "GET", "/account/limits")

    def set(
        self,
        *,
        monthly_budget: str | Decimal | None = None,
        monthly_tasks: int | None = None,
        task_budget: str | Decimal | None = None,
    ) -> AccountLimits:
        """Replace the account's own limits; what is None has none from now on. Amounts are USDC.

        >>> limits = client.limits.set(monthly_budget="100.00", task_budget="5.00")
        >>> limits.task_budget
        Decimal('5.00')
        """
        body = {
            "monthly_budget": _text(monthly_budget),
            "monthly_tasks": monthly_tasks,
            "task_budget": _text(task_budget),
        }
        return self._transport.call(AccountLimits, "PUT", "/account/limits", json=body)


def _text(amount: str | Decimal | None) -> str | None:
    # Of a Decimal, str would write 1E+2.
    return f"{amount:f}" if isinstance(amount, Decimal) else amount
