"""Document 000's ``/api/resources/gpu``."""

import time
from typing import Annotated

from fastapi import Depends, FastAPI
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.analytics import DAY_MS, Analytics
from ...services.gpus import Gpus, GpuStatus, GpuTask
from ...store.analytics import TaskFigures
from ..auth import Caller, Gate
from ..envelope import json_response
from ..openapi import Schemas
from .bolt_errors import bolt_errors
from .bolt_words import NAME

_Percent = Annotated[float, Meta(ge=0, le=100)]
# A container has process numbers of its own, and its program is the first.
_PID_OF_JOB = 1


class BoltGpuMemory(Struct, frozen=True):
    """Of all GPUs, bytes. A GPU that a job has is used whole."""

    total: int
    used: int
    free: int


class BoltProcess(Struct, frozen=True, rename="camel"):
    """A running task of the account that has GPUs."""

    pid: Annotated[int, Meta(description="In its own container, where its program is the first.")]
    memory: Annotated[
        int, Meta(description="Bytes of main memory: the most that it has had at once.")
    ]
    runtime: Annotated[float, Meta(description="Seconds since its container started.")]
    task_id: str
    node_id: str


class BoltPerformance(Struct, frozen=True):
    """Of the tasks of all accounts that ended in the last 24 hours."""

    throughput: Annotated[float, Meta(description="How many ended in a minute.")]
    latency: Annotated[
        float, Meta(description="Milliseconds from submission to start, mean of those that ran.")
    ]
    efficiency: Annotated[
        float, Meta(ge=0, le=1, description="Completed of completed and failed; 1 of none.")
    ]


class BoltAdvanced(Struct, frozen=True, rename="camel"):
    """What goes beyond the GPUs themselves."""

    average_load: Annotated[
        _Percent, Meta(description="Of the processors beside the GPUs, mean over their nodes.")
    ]
    uptime: Annotated[
        int, Meta(description="Seconds that the node which is connected longest has been.")
    ]
    processes: list[BoltProcess]
    performance: BoltPerformance


class BoltGpu(Struct, frozen=True, rename="camel"):
    """All GPUs that connected nodes offer, as one."""

    utilization: Annotated[_Percent, Meta(description="Share of all GPUs that jobs have.")]
    memory: BoltGpuMemory
    temperature: Annotated[
        float, Meta(description="Degrees Celsius, mean of those that tell; 0: none does.")
    ]
    power_usage: Annotated[
        float, Meta(description="Watts, of those that tell together; 0: none does.")
    ]
    advanced: BoltAdvanced


def add_bolt_resource_route(
    app: FastAPI, gpus: Gpus, analytics: Analytics, gate: Gate, schemas: Schemas
) -> None:
    """Add the route."""

    @app.get(
        "/api/resources/gpu",
        tags=[NAME],
        summary="Show the market's GPUs",
        response_class=Response,
        responses={
            200: schemas.bare(BoltGpu, "Of all connected nodes; 0 where nothing is known."),
            **bolt_errors(schemas, 401, 403, 429, 503),
        },
    )
    async def get_bolt_gpu(caller: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """`processes` are the account's own. `docs/dialects/bolt.md` says what each figure is."""
        status = await gpus.status(caller.account)
        ended = await analytics.ended(DAY_MS)
        return json_response(_view(status, ended, time.time_ns() // 1_000_000))


def _view(status: GpuStatus, ended: TaskFigures, now_ms: int) -> BoltGpu:
    figures = status.figures
    since_ms = now_ms if figures.since_ms is None else figures.since_ms
    return BoltGpu(
        utilization=figures.taken_percent,
        memory=BoltGpuMemory(
            figures.memory_bytes,
            figures.memory_taken_bytes,
            figures.memory_bytes - figures.memory_taken_bytes,
        ),
        temperature=figures.mean_celsius or 0.0,
        power_usage=(figures.milliwatts or 0) / 1000,
        advanced=BoltAdvanced(
            average_load=figures.cpu_load_percent,
            uptime=max(0, now_ms - since_ms) // 1000,
            processes=[_process(each, now_ms) for each in status.tasks],
            performance=BoltPerformance(
                throughput=round(ended.ended / (DAY_MS / 60_000), 4),
                latency=round(max(0, ended.waited_ms) / ended.ran, 3) if ended.ran else 0.0,
                efficiency=ended.success_rate,
            ),
        ),
    )


def _process(task: GpuTask, now_ms: int) -> BoltProcess:
    return BoltProcess(
        pid=_PID_OF_JOB,
        memory=task.memory_peak_bytes,
        runtime=task.ran_ms(now_ms) / 1000,
        task_id=task.row.id,
        node_id=task.row.node_id or "",
    )
