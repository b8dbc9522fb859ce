"""Document 004, OpenRuntime: operations, devices and figures at paths without a prefix.

docs/dialects/openruntime.md says which native call each is. Answers are bare; errors are
``{status: "error", data, error, timestamp}``.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import NVIDIA
from neurogrid_marketplace.task import Phase

from ...metrics.public import MarketFigures, PublicMetrics
from ...services.analytics import Analytics
from ...services.market_state import usage
from ...services.models import ModelSettings
from ...services.native_answers import NativeAnswers
from ...services.nodes import Nodes
from ...services.operations import (
    CPU_DEVICE,
    GPU_DEVICE,
    OperationRun,
    Operations,
    OperationWanted,
    device_id,
)
from ...services.overview import Overview
from ...store.accounts import Account
from ..body import read_json
from ..envelope import iso, json_response
from ..errors import Forms
from ..idempotency import IDEMPOTENCY_KEY, idempotency_key
from ..leaving import while_there
from ..native.words import STATUS_OF_PHASE
from ..openapi import Schemas
from ..unanswered import unanswered
from .clients import Clients
from .openruntime_ai import add_openruntime_ai_routes
from .openruntime_form import NAME, error_form, now_text, refusals
from .openruntime_schemas import (
    Device,
    DeviceList,
    DeviceStatus,
    EnhancedTask,
    EnhancedTaskList,
    Figures,
    Health,
    HealthFigures,
    OperationTask,
    PerformanceMetrics,
    ServiceInfo,
    TaskAnswer,
    TaskResult,
)

# Of the API that the document describes, not of this coordinator.
VERSION = "2.0.0"
TAG = {"name": NAME, "description": "Document 004: operations at paths without a prefix."}
PATHS = (
    "/",
    "/health",
    "/metrics",
    "/devices",
    "/tasks",
    "/tasks/enhanced",
    "/ai/agents",
    "/ai/tasks",
    "/ai/insights",
    # What is not there, too.
    "/devices/",
    "/tasks/",
    "/ai",
    "/ai/",
)
# The document has no pages of devices.
DEVICES_MAX = 1000
_LIMIT_MAX = 1000
_ACTIVE = (Phase.AWARDED, Phase.STARTING, Phase.RUNNING, Phase.VERIFYING)
_EXAMPLE = {
    "operation": "matrix_multiply",
    "parameters": {"size": 1000, "iterations": 10},
    "device_preference": "auto",
    "priority": 1,
}


def add_openruntime_routes(
    app: FastAPI,
    forms: Forms,
    *,
    clients: Clients,
    operations: Operations,
    models: ModelSettings,
    answers: NativeAnswers,
    analytics: Analytics,
    nodes: Nodes,
    overview: Overview,
    market_is_up: Callable[[], bool],
    schemas: Schemas,
) -> None:
    """Add the routes."""
    forms.claim(error_form, *PATHS)
    started_s = time.monotonic()
    public = PublicMetrics()

    async def figures() -> MarketFigures:
        taken = usage(nodes.offers())
        phases = await overview.tasks_by_phase()
        return MarketFigures(
            gpu_utilization=taken.gpu_percent,
            memory_usage=taken.memory_percent,
            active_tasks=sum(phases.get(phase, 0) for phase in _ACTIVE),
            ai_tasks_processed=await analytics.answers(),
            uptime_s=int(time.monotonic() - started_s),
        )

    _add_system_routes(app, figures, public, nodes, market_is_up, schemas)
    _add_task_routes(app, clients, operations, nodes, schemas)
    add_openruntime_ai_routes(app, clients, models, answers, analytics, figures, schemas)


def _add_system_routes(
    app: FastAPI,
    figures: Callable[[], Awaitable[MarketFigures]],
    public: PublicMetrics,
    nodes: Nodes,
    market_is_up: Callable[[], bool],
    schemas: Schemas,
) -> None:
    @app.get(
        "/",
        tags=[NAME],
        summary="What this is",
        response_class=Response,
        responses={200: schemas.bare(ServiceInfo, "Always the same.")},
    )
    async def get_service() -> Response:
        """The name and version of the API that document 004 describes."""
        return json_response(ServiceInfo(NAME, VERSION, "running"))

    @app.get(
        "/health",
        tags=[NAME, "Status"],
        summary="Whether the coordinator is well",
        response_class=Response,
        responses={
            200: schemas.bare(Health, "`degraded`: the market process is being started again."),
            **refusals(schemas, 503),
        },
    )
    async def get_health() -> Response:
        """For load balancers too: 503 where the database does not answer in time. No chain is asked."""
        now = await figures()
        return json_response(
            Health(
                status="healthy" if market_is_up() else "degraded",
                timestamp=now_text(),
                service=NAME,
                version=VERSION,
                devices=sum(1 for offer in nodes.offers() for _ in _devices(offer)),
                metrics=HealthFigures(
                    now.gpu_utilization,
                    now.memory_usage,
                    now.active_tasks,
                    now.ai_tasks_processed,
                ),
            )
        )

    @app.get(
        "/metrics",
        tags=[NAME, "Status"],
        summary="How much of the market is taken",
        response_class=Response,
        responses={
            200: {
                "description": "JSON, unless `Accept` names `text/plain` or `application/openmetrics-text` and not "
                "JSON: then the text that Prometheus reads.",
                "content": {
                    **schemas.bare(Figures, "")["content"],
                    "text/plain": {"schema": {"type": "string"}},
                    "application/openmetrics-text": {"schema": {"type": "string"}},
                },
            },
            **refusals(schemas, 503),
        },
    )
    async def get_metrics(request: Request) -> Response:
        """Of the whole market. `docs/dialects/openruntime.md` says what each figure is."""
        now = await figures()
        accept = request.headers.get("accept", "")
        wants_text = "text/plain" in accept or "openmetrics" in accept
        if wants_text and "application/json" not in accept:
            text, content_type = public.render(now, accept)
            return Response(text, headers={"content-type": content_type})
        return json_response(
            Figures(
                gpu_utilization=now.gpu_utilization,
                memory_usage=now.memory_usage,
                active_tasks=now.active_tasks,
                ai_tasks_processed=now.ai_tasks_processed,
                uptime=_duration(now.uptime_s),
                timestamp=now_text(),
            )
        )


def _add_task_routes(
    app: FastAPI, clients: Clients, operations: Operations, nodes: Nodes, schemas: Schemas
) -> None:
    @app.get(
        "/devices",
        tags=[NAME],
        summary="List devices",
        response_class=Response,
        responses={
            200: schemas.bare(DeviceList, "Of connected nodes, in the order of their ids."),
            **refusals(schemas, 401, 403, 429, 503),
        },
    )
    async def list_devices(_: Annotated[Account, Depends(clients)]) -> Response:
        """Each node's CPU, and its GPUs. At most 1,000."""
        found = [device for offer in nodes.offers() for device in _devices(offer)]
        return json_response(DeviceList(found[:DEVICES_MAX]))

    @app.post(
        "/tasks",
        tags=[NAME],
        summary="Compute an operation and wait for its result",
        response_class=Response,
        responses={
            200: schemas.bare(TaskAnswer, "It has completed."),
            **refusals(schemas, 400, 401, 403, 409, 413, 422, 429, 500, 503),
        },
        openapi_extra={
            "parameters": [IDEMPOTENCY_KEY],
            **schemas.body(OperationTask, _EXAMPLE),
        },
    )
    async def create_task(
        request: Request, account: Annotated[Account, Depends(clients)]
    ) -> Response:
        """Answers when it has ended: 500 where it failed, 503 where no node took it or it did not end in
        time. Who gets no result has no task: it is cancelled, so that asking again is safe."""
        key = idempotency_key(request)
        asked = await read_json(request, OperationTask)
        wanted = OperationWanted(
            operation=asked.operation,
            parameters=asked.parameters,
            device=asked.device_preference,
            priority=asked.priority,
            idempotency_key=key,
        )
        run = await while_there(request, operations.run(account, wanted))
        return _task_answer(run)

    @app.get(
        "/tasks/enhanced",
        tags=[NAME],
        summary="List operations with what they took",
        response_class=Response,
        responses={
            200: schemas.bare(EnhancedTaskList, "Newest first."),
            **refusals(schemas, 401, 403, 422, 429, 503),
        },
    )
    async def list_enhanced(
        account: Annotated[Account, Depends(clients)],
        limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX)] = 100,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """The account's, also those that were asked for natively."""
        page = await operations.list(account, limit=limit, offset=offset)
        found = [_enhanced(run) for run in page.runs]
        return json_response(EnhancedTaskList(found, page.total, now_text()))


def _task_answer(run: OperationRun) -> Response:
    row, result = run.row, run.result
    if result is not None:
        return json_response(
            TaskAnswer(
                task_id=row.id,
                status="completed",
                result=TaskResult(
                    execution_time=run.execution_time_s,
                    device_used=run.device_used,
                    output={
                        "checksum": result.output.checksum,
                        "verified": result.output.verified,
                        **_throughput(run),
                    },
                ),
                execution_time=run.execution_time_s,
                timestamp=now_text(),
            )
        )
    return error_form(unanswered(row))


def _throughput(run: OperationRun) -> dict[str, object]:
    measured = run.result.measured if run.result is not None else None
    if measured is None:
        return {}
    return {"throughput": measured.throughput, "throughput_unit": measured.throughput_unit}


def _enhanced(run: OperationRun) -> EnhancedTask:
    row = run.row
    asked = row.spec.get("operation")
    measured = run.result.measured if run.result is not None else None
    return EnhancedTask(
        task_id=row.id,
        operation=str(asked["name"]) if isinstance(asked, dict) else "",
        status=STATUS_OF_PHASE[row.phase],
        performance_metrics=PerformanceMetrics(
            execution_time_ms=round(run.execution_time_s * 1000),
            memory_used_mb=0.0 if measured is None else measured.memory_used_mb,
            # No operation has used one: nobody measures how busy GPUs are while jobs have them.
            gpu_utilization=0.0,
        ),
        timestamp=iso(row.ended_at_ms or row.created_at_ms),
    )


def _devices(offer: Offer) -> Iterator[Device]:
    """A node's CPU, then its GPUs."""
    free = offer.free
    yield Device(
        id=device_id(offer.node_id, CPU_DEVICE),
        name=offer.cpu_model or "CPU",
        type="cpu",
        status=_status(offer, free.cpu_millis >= min(1000, offer.total.cpu_millis)),
        capabilities=["container", *offer.runtimes],
        memory_total=offer.total.memory_bytes,
        memory_available=free.memory_bytes,
    )
    for number, gpu in enumerate(offer.total.gpus):
        is_free = gpu in free.gpus
        yield Device(
            id=device_id(offer.node_id, f"{GPU_DEVICE}{number}"),
            name=gpu.model,
            type="gpu",
            status=_status(offer, is_free),
            capabilities=["container", "cuda"] if gpu.vendor == NVIDIA else ["container"],
            memory_total=gpu.memory_bytes,
            memory_available=gpu.memory_bytes if is_free else 0,
        )


def _status(offer: Offer, is_free: bool) -> DeviceStatus:
    if not offer.accepting:
        return "unavailable"
    return "available" if is_free else "busy"


def _duration(seconds: int) -> str:
    """``2h 15m``, as the document writes it."""
    return f"{seconds // 3600}h {seconds // 60 % 60}m"
