"""``/analytics`` and ``/metrics``: what has happened, of the market and of an account.

Documents 001 and 002 have these fields; docs/analytics.md says how each is measured.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from neurogrid_marketplace.task import TERMINAL
from neurogrid_marketplace.unit_price import ModelUnit

from ...services.analytics import DAY_MS, Analytics
from ...services.nodes import Nodes
from ...store.accounts import Account
from ..auth import Caller, Gate
from ..envelope import success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import usdc_number
from .schemas import TaskStatus
from .words import STATUS_OF_PHASE, phases_of

Timeframe = Literal["1h", "24h", "7d", "30d"]
Period = Literal["hour", "day", "week", "month"]
Metric = Literal[
    "tasks_completed",
    "tasks_failed",
    "success_rate",
    "response_time",
    "execution_time",
    "throughput",
]
_HOUR_MS = 3_600_000
_SPANS: dict[Timeframe, int] = {
    "1h": _HOUR_MS,
    "24h": DAY_MS,
    "7d": 7 * DAY_MS,
    "30d": 30 * DAY_MS,
}
_PERIODS: dict[Period, int] = {
    "hour": _HOUR_MS,
    "day": DAY_MS,
    "week": 7 * DAY_MS,
    "month": 30 * DAY_MS,
}
_ERRORS = ("INVALID_REQUEST", "UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED")
_Share = Annotated[float, Meta(ge=0, le=1)]


class StatsView(Struct, frozen=True):
    """The market as a whole."""

    total_nodes: Annotated[int, Meta(description="That this coordinator knows.")]
    active_nodes: Annotated[int, Meta(description="Of those, connected now.")]
    total_tasks_today: Annotated[int, Meta(description="Submitted since midnight, UTC.")]
    average_response_time: Annotated[
        float,
        Meta(
            description="Seconds from submission to start, of the tasks that ended in the last 24 hours."
        ),
    ]
    network_uptime: Annotated[
        float,
        Meta(
            description="Per cent of the last 30 days' leases whose node did not fail them; 100 where there is none.",
            ge=0,
            le=100,
        ),
    ]
    total_compute_hours: Annotated[
        float, Meta(description="That jobs have run, by their nodes' meters.")
    ]


class MetricsOfTime(Struct, frozen=True):
    """Of tasks that ended within the timeframe. A metric that was not asked for is left out."""

    tasks_completed: int | UnsetType = UNSET
    tasks_failed: int | UnsetType = UNSET
    success_rate: (
        Annotated[float, Meta(description="Completed of completed and failed; 1 of none.")]
        | UnsetType
    ) = UNSET
    response_time: (
        Annotated[float, Meta(description="Seconds from submission to start, mean.")] | UnsetType
    ) = UNSET
    execution_time: (
        Annotated[float, Meta(description="Seconds from start to end, mean.")] | UnsetType
    ) = UNSET
    throughput: Annotated[float, Meta(description="Tasks that ended, per minute.")] | UnsetType = (
        UNSET
    )


class PerformanceView(Struct, frozen=True):
    """How the market has performed."""

    timeframe: Timeframe
    metrics: MetricsOfTime


class MonthView(Struct, frozen=True):
    """Your month so far, UTC."""

    tasks_completed: int
    total_cost: Annotated[float, Meta(description="USDC, of the tasks that have ended.")]
    compute_time: Annotated[str, Meta(examples=["2h 15m"])]
    tokens_generated: Annotated[
        int, Meta(description="That models have written, by the `usage` of their answers.")
    ]


class UsageLimitsView(Struct, frozen=True):
    """Your account's own limits; null: none."""

    monthly_tasks: int | None
    monthly_budget: Annotated[float | None, Meta(description="USDC.")]


class ModelUsageView(Struct, frozen=True):
    """What your requests to a model came to this month."""

    model: str
    requests: Annotated[int, Meta(description="That were answered, by tasks or replicas.")]
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    images: int
    audio_seconds: int
    cost: Annotated[float, Meta(description="USDC, of the tasks that have ended.")]


class UsageView(Struct, frozen=True):
    """What you have used."""

    current_month: MonthView
    limits: UsageLimitsView
    models: Annotated[
        list[ModelUsageView], Meta(description="Each that was asked this month, by its id.")
    ]


class TaskCountsView(Struct, frozen=True):
    """Your tasks that are not deleted, by status."""

    total: int
    completed: int
    failed: int
    cancelled: int
    pending: int
    running: int


class TaskPerformanceView(Struct, frozen=True):
    """Of tasks that ended within the time: seconds from start to end, completed of completed and failed,
    and how many ended in a minute."""

    average_execution_time: float
    success_rate: _Share
    throughput: float


class SystemView(Struct, frozen=True):
    """The coordinator's machine: busy share of its cores over a minute, used share of its memory, and
    connections to the API."""

    cpu_usage: _Share
    memory_usage: _Share
    active_connections: int


class MetricsView(Struct, frozen=True):
    """Your tasks, and the machine that serves you. ``performance`` is of the last 24 hours."""

    tasks: TaskCountsView
    performance: TaskPerformanceView
    system: SystemView


class AllTasksMetricsView(Struct, frozen=True):
    """Of your tasks that ended within the period. ``average_wait_time``: seconds from submission to start."""

    period: Period
    total: int
    completed: int
    failed: int
    cancelled: int
    average_execution_time: float
    average_wait_time: float
    success_rate: _Share
    throughput: float
    total_cost: Annotated[float, Meta(description="USDC.")]


def add_analytics_routes(
    app: FastAPI,
    analytics: Analytics,
    nodes: Nodes,
    connections: Callable[[], int],
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes. ``connections``: to the API, now."""

    @app.get(
        f"{API}/analytics/stats",
        tags=["Analytics"],
        summary="Show figures of the market",
        response_class=Response,
        responses={
            200: schemas.answer(StatsView, "Up to five seconds old."),
            **errors(*_ERRORS[1:]),
        },
    )
    async def get_stats(_: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """Of all accounts together."""
        market = await analytics.market()
        reliable = 1 - market.failed / market.leases if market.leases else 1.0
        return success(
            StatsView(
                total_nodes=nodes.list(limit=1).total,
                active_nodes=nodes.connected_count(),
                total_tasks_today=market.tasks_today,
                average_response_time=_mean_s(market.day.waited_ms, market.day.ran),
                network_uptime=round(100 * max(0.0, reliable), 2),
                total_compute_hours=round(market.metered_ms / _HOUR_MS, 3),
            )
        )

    @app.get(
        f"{API}/analytics/performance",
        tags=["Analytics"],
        summary="Show how the market performs",
        response_class=Response,
        responses={
            200: schemas.answer(PerformanceView, "Up to five seconds old."),
            **errors(*_ERRORS),
        },
    )
    async def get_performance(
        _: Annotated[Caller, Depends(gate.for_everybody)],
        timeframe: Annotated[Timeframe, Query()] = "24h",
        metric: Annotated[Metric | None, Query()] = None,
    ) -> Response:
        """Of all accounts together; `metric` asks for one alone."""
        span_ms = _SPANS[timeframe]
        found = await analytics.ended(span_ms)
        values: dict[Metric, int | float] = {
            "tasks_completed": found.completed,
            "tasks_failed": found.failed,
            "success_rate": found.success_rate,
            "response_time": _mean_s(found.waited_ms, found.ran),
            "execution_time": _mean_s(found.ran_ms, found.ran),
            "throughput": _per_minute(found.ended, span_ms),
        }
        wanted = {name: value for name, value in values.items() if metric in (None, name)}
        return success(PerformanceView(timeframe, MetricsOfTime(**wanted)))  # type: ignore[arg-type]  # mypy can't tell which of the fields each name is

    @app.get(
        f"{API}/analytics/usage",
        tags=["Analytics"],
        summary="Show what you have used this month",
        response_class=Response,
        responses={
            200: schemas.answer(UsageView, "Up to five seconds old."),
            **errors(*_ERRORS[1:]),
        },
    )
    async def get_usage(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """What tasks that have not ended may still cost is in `GET /account/limits`."""
        month = await analytics.month(caller.account)
        budget = month.limits.monthly_budget_micro_usdc
        return success(
            UsageView(
                MonthView(
                    month.ended.completed,
                    usdc_number(month.ended.cost_micro_usdc),
                    _hours_and_minutes(month.metered_ms),
                    tokens_generated=month.tokens,
                ),
                UsageLimitsView(
                    month.limits.monthly_tasks, None if budget is None else usdc_number(budget)
                ),
                [
                    _model_usage(
                        model, month.models.get(model, {}), month.model_costs.get(model, 0)
                    )
                    for model in sorted({*month.models, *month.model_costs})
                ],
            )
        )

    @app.get(
        f"{API}/metrics",
        tags=["Analytics"],
        summary="Show your tasks and the coordinator's machine",
        response_class=Response,
        responses={
            200: schemas.answer(MetricsView, "Up to five seconds old."),
            **errors(*_ERRORS[1:]),
        },
    )
    async def get_metrics(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """The counts are of the tasks that `GET /tasks` lists."""
        return success(await metrics_of(analytics, caller.account, connections()))

    @app.get(
        f"{API}/metrics/tasks",
        tags=["Analytics"],
        summary="Show how your tasks went",
        response_class=Response,
        responses={
            200: schemas.answer(AllTasksMetricsView, "Up to five seconds old."),
            **errors(*_ERRORS),
        },
    )
    async def get_task_metrics(
        caller: Annotated[Caller, Depends(gate)],
        period: Annotated[Period, Query()] = "day",
        status: Annotated[TaskStatus | None, Query()] = None,
        type: Annotated[Literal["gpu", "cpu"] | None, Query()] = None,
        model: Annotated[
            str | None, Query(max_length=128, description="Only of this model, by its id.")
        ] = None,
    ) -> Response:
        """Deleted tasks count too. With `status` all figures are of those alone; of `pending` and `running` ones,
        which have not ended, `total` is how many of those submitted within the period there are now."""
        view = await task_metrics_of(
            analytics, caller.account, period, status=status, kind=type, model=model
        )
        return success(view)


async def metrics_of(analytics: Analytics, account: Account, connections: int) -> MetricsView:
    """An account's tasks, and the coordinator's machine."""
    counts = dict.fromkeys(STATUS_OF_PHASE.values(), 0)
    phases = await analytics.phases(account)
    for phase, word in STATUS_OF_PHASE.items():
        counts[word] += phases[phase.value]
    found = await analytics.ended(DAY_MS, account=account)
    return MetricsView(
        TaskCountsView(total=sum(counts.values()), **counts),
        TaskPerformanceView(
            _mean_s(found.ran_ms, found.ran),
            found.success_rate,
            _per_minute(found.ended, DAY_MS),
        ),
        SystemView(_cpu_usage(), _memory_usage(), connections),
    )


async def task_metrics_of(
    analytics: Analytics,
    account: Account,
    period: Period,
    *,
    status: TaskStatus | None = None,
    kind: str | None = None,
    model: str | None = None,
) -> AllTasksMetricsView:
    """How an account's tasks went that ended within the period; of those with the status."""
    span_ms = _PERIODS[period]
    phases = None if status is None else phases_of(status)
    found = await analytics.ended(span_ms, account=account, kind=kind, model=model, phases=phases)
    total = found.ended
    if phases is not None and not phases & TERMINAL:
        total = await analytics.submitted(span_ms, account, phases, kind=kind, model=model)
    return AllTasksMetricsView(
        period=period,
        total=total,
        completed=found.completed,
        failed=found.failed,
        cancelled=found.cancelled,
        average_execution_time=_mean_s(found.ran_ms, found.ran),
        average_wait_time=_mean_s(found.waited_ms, found.ran),
        success_rate=found.success_rate,
        throughput=_per_minute(found.ended, span_ms),
        total_cost=usdc_number(found.cost_micro_usdc),
    )


def _mean_s(total_ms: int, number: int) -> float:
    return round(max(0, total_ms) / number / 1000, 3) if number else 0.0


def _per_minute(number: int, span_ms: int) -> float:
    return round(number / (span_ms / 60_000), 4)


def _model_usage(
    model: str, units: Mapping[ModelUnit, int], cost_micro_usdc: int
) -> ModelUsageView:
    return ModelUsageView(
        model,
        units.get(ModelUnit.REQUEST, 0),
        units.get(ModelUnit.INPUT_TOKEN, 0),
        units.get(ModelUnit.CACHED_INPUT_TOKEN, 0),
        units.get(ModelUnit.OUTPUT_TOKEN, 0),
        units.get(ModelUnit.IMAGE, 0),
        units.get(ModelUnit.AUDIO_SECOND, 0),
        usdc_number(cost_micro_usdc),
    )


def _hours_and_minutes(span_ms: int) -> str:
    """``2h 15m``."""
    hours, minutes = divmod(span_ms // 60_000, 60)
    return f"{hours}h {minutes}m"


def _cpu_usage() -> float:
    """The load of the last minute by the number of cores, at most 1."""
    return round(min(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), 3)


def _memory_usage() -> float:
    """What of the machine's memory can't be had any more; 0 where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        found = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return round(1 - found["MemAvailable"] / found["MemTotal"], 3)
    except (OSError, KeyError, ValueError, IndexError):
        return 0.0
