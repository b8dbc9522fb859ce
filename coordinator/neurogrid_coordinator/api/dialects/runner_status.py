"""Document 001's metrics and status: native figures in its words."""

import time
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from ...services.analytics import Analytics
from ...services.errors import NotFound
from ...services.health import Checked, Health, Services
from ...services.models import ModelSettings, find_model
from ..auth import Caller, Gate
from ..envelope import iso
from ..native.analytics import Period, metrics_of, task_metrics_of
from ..native.schemas import TaskStatus
from ..openapi import Schemas
from .runner_form import NAME, PREFIX, done, refusals
from .runner_schemas import (
    RunnerCounts,
    RunnerMetrics,
    RunnerPerformance,
    RunnerServiceStatus,
    RunnerStatus,
    RunnerSystem,
    RunnerTaskMetrics,
)

# The document's words for parts of the coordinator: who answers there is the market, whose nodes compute the models.
_PARTS = {"openai": "market"}
_DATABASE = "database"


def add_runner_status_routes(
    app: FastAPI,
    *,
    analytics: Analytics,
    connections: Callable[[], int],
    parts: Services,
    models: ModelSettings,
    version: str,
    gate: Gate,
    schemas: Schemas,
) -> None:
    """Add the routes. ``connections``: to the API, now."""
    refused = refusals(schemas)
    started_s = time.monotonic()

    @app.get(
        f"{PREFIX}/metrics",
        tags=[NAME],
        summary="Show your tasks and the coordinator's machine",
        response_class=Response,
        responses={200: schemas.answer(RunnerMetrics, "Up to five seconds old."), **refused()},
    )
    async def get_metrics(caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Of all tasks of your account, also those that were asked for natively."""
        found = await metrics_of(analytics, caller.account, connections())
        counts, went, machine = found.tasks, found.performance, found.system
        return done(
            RunnerMetrics(
                RunnerCounts(
                    total=counts.total,
                    completed=counts.completed,
                    failed=counts.failed,
                    pending=counts.pending,
                    running=counts.running,
                    cancelled=counts.cancelled,
                ),
                RunnerPerformance(went.average_execution_time, went.success_rate, went.throughput),
                RunnerSystem(machine.cpu_usage, machine.memory_usage, machine.active_connections),
            )
        )

    @app.get(
        f"{PREFIX}/metrics/tasks",
        tags=[NAME],
        summary="Show how your tasks went",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerTaskMetrics, "Up to five seconds old."),
            **refused(400),
        },
    )
    async def get_task_metrics(
        caller: Annotated[Caller, Depends(gate)],
        period: Period = "day",
        status: Annotated[
            TaskStatus | None,
            Query(description="Of `pending` and `running` ones `total` is how many there are now."),
        ] = None,
        model: Annotated[
            str | None, Query(max_length=128, description="By its id or an alias.")
        ] = None,
    ) -> Response:
        """Of those that ended within the period, deleted ones too; with `status` all figures are of those alone."""
        model_id = None if model is None else find_model(models, model).id
        found = await task_metrics_of(
            analytics, caller.account, period, status=status, model=model_id
        )
        return done(
            RunnerTaskMetrics(
                period=found.period,
                status=status,
                model=model,
                total=found.total,
                completed=found.completed,
                failed=found.failed,
                cancelled=found.cancelled,
                average_execution_time=found.average_execution_time,
                average_wait_time=found.average_wait_time,
                success_rate=found.success_rate,
                throughput=found.throughput,
                total_cost=found.total_cost,
            )
        )

    @app.get(
        f"{PREFIX}/status",
        tags=[NAME],
        summary="How the coordinator is",
        response_class=Response,
        responses={200: schemas.answer(RunnerStatus, "`unhealthy`: its database is away.")},
    )
    async def get_status() -> Response:
        """Without a key. Each part is asked, and has two seconds to answer."""
        checked = await parts.all()
        return done(
            RunnerStatus(
                status=_overall(checked),
                version=version,
                uptime=int(time.monotonic() - started_s),
                services={name: checked[part].health for name, part in _named(parts).items()},
                last_health_check=iso(max(part.at_ms for part in checked.values())),
            )
        )

    @app.get(
        f"{PREFIX}/status/services/{{service}}",
        tags=[NAME],
        summary="How a part of the coordinator is",
        response_class=Response,
        responses={
            200: schemas.answer(RunnerServiceStatus, "Up to five seconds old."),
            404: refused(404)[404],
        },
    )
    async def get_service_status(service: str) -> Response:
        """Without a key."""
        named = _named(parts)
        if service not in named:
            there = sorted(named)
            raise NotFound(
                f"there is no service {service[:80]}; there are {', '.join(there)}",
                {"services": list(there)},
            )
        found = await parts.check(named[service])
        details = {_camel(name): value for name, value in found.details.items()}
        return done(RunnerServiceStatus(service, found.health, details))


def _named(parts: Services) -> dict[str, str]:
    """Names of parts as the document and the coordinator have them -> the coordinator's."""
    return {**{name: name for name in parts.names}, **_PARTS}


def _overall(checked: dict[str, Checked]) -> Health:
    found = {part.health for part in checked.values()}
    if checked[_DATABASE].health != "healthy":
        return "unhealthy"
    return "healthy" if found == {"healthy"} else "degraded"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
