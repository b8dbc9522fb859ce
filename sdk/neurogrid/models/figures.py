"""Figures: of the market, of an account, and what it lets itself spend."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from .listed import Listed


class MarketStats(Struct, frozen=True, kw_only=True):
    """The market as a whole.

    Attributes:
        average_response_time: seconds from submission to start, of the last day's tasks.
        network_uptime: per cent of the last month's leases whose node did not fail them.
    """

    total_nodes: int
    active_nodes: int
    total_tasks_today: int
    average_response_time: float
    network_uptime: float
    total_compute_hours: float


class MarketGpus(Struct, frozen=True, kw_only=True):
    """The market's GPUs now.

    Attributes:
        taken: by leases; ``utilization`` is its share of ``total``.
        busy: how much they compute, 0 to 1, where nodes can tell; so with temperatures (°C) and power.
    """

    total: int
    taken: int
    utilization: float
    memory_bytes: int = 0
    memory_taken_bytes: int = 0
    cpu_load: float | None = None
    busy: float | None = None
    temperature_mean: float | None = None
    temperature_max: float | None = None
    power_watts: float | None = None


class MarketPerformance(Struct, frozen=True, kw_only=True):
    """How the market has performed; docs/analytics.md says how each metric is measured."""

    timeframe: str
    metrics: dict[str, float]


class MonthOfUse(Struct, frozen=True, kw_only=True):
    """A month so far, UTC. ``compute_time`` is like ``2h 15m``."""

    tasks_completed: int
    total_cost: Decimal
    compute_time: str
    tokens_generated: int = 0


class UsageLimits(Struct, frozen=True, kw_only=True):
    """An account's own limits; None: none."""

    monthly_tasks: int | None = None
    monthly_budget: Decimal | None = None


class ModelUsage(Struct, frozen=True, kw_only=True):
    """What an account's requests to a model came to in a month.

    Attributes:
        requests: that were answered, by tasks or replicas.
        cost: USDC, of the tasks that have ended.
    """

    model: str
    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    images: int = 0
    audio_seconds: int = 0
    cost: Decimal


class Usage(Struct, frozen=True, kw_only=True):
    """What an account has used; ``models``: each that was asked this month."""

    current_month: MonthOfUse
    limits: UsageLimits
    models: list[ModelUsage] = []


class TaskMetrics(Struct, frozen=True, kw_only=True):
    """Of an account's tasks that ended within the period; times in seconds, ``throughput`` per minute."""

    period: str
    total: int
    completed: int
    failed: int
    cancelled: int
    average_execution_time: float
    average_wait_time: float
    success_rate: float
    throughput: float
    total_cost: Decimal


class Used(Struct, frozen=True, kw_only=True):
    """What is used of the limits of a month, which ends ``until``."""

    tasks: int
    budget: Decimal
    until: datetime


class AccountLimits(Struct, frozen=True, kw_only=True):
    """What an account may do; None: no limit."""

    tier: str
    used: Used
    requests_per_minute: int | None = None
    monthly_budget: Decimal | None = None
    monthly_tasks: int | None = None
    task_budget: Decimal | None = None


class AuditRecord(Struct, frozen=True, kw_only=True):
    """A change that one of the account's keys made.

    Attributes:
        details: which key, from which address, by which request.
        hash: covers all of it and ``previous``, the hash of the change before.
    """

    id: int
    timestamp: datetime
    type: str
    level: str
    message: str
    account_id: str | None = None
    details: dict[str, Any] = {}
    previous: str = ""
    hash: str = ""


class AuditPage(Listed[AuditRecord], Struct, frozen=True, kw_only=True):
    """Some changes, newest first."""

    logs: list[AuditRecord]
    limit: int = 0
    offset: int = 0
