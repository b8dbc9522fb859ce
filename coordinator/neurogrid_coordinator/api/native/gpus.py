"""``/analytics/gpus``: the market's GPUs, and the account's own tasks on them."""

import time
from typing import Annotated

from fastapi import Depends, FastAPI
from msgspec import Meta, Struct
from starlette.responses import Response

from ...services.gpus import Gpus, GpuStatus, GpuTask
from ..auth import Caller, Gate
from ..envelope import iso_or_none, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Time

_Percent = Annotated[float, Meta(ge=0, le=100)]


class GpuTaskView(Struct, frozen=True):
    """A running task of yours that has GPUs."""

    task_id: str
    node_id: str
    running_seconds: float
    memory_peak_bytes: Annotated[
        int, Meta(description="Of main memory: the most that it has had at once.")
    ]


class GpuStatusView(Struct, frozen=True):
    """All GPUs that connected nodes offer."""

    total: int
    taken: Annotated[int, Meta(description="That jobs have.")]
    utilization: Annotated[_Percent, Meta(description="Share of them that jobs have.")]
    memory_bytes: int
    memory_taken_bytes: Annotated[int, Meta(description="A GPU that a job has is taken whole.")]
    cpu_load: Annotated[
        _Percent,
        Meta(description="How much of their nodes' processors jobs have, mean over the nodes."),
    ]
    busy: Annotated[
        _Percent | None,
        Meta(description="How busy those are that tell, mean; null, here and below: none tells."),
    ]
    temperature_mean: Annotated[float | None, Meta(description="Degrees Celsius.")]
    temperature_max: Annotated[int | None, Meta(description="Of the hottest.")]
    power_watts: Annotated[float | None, Meta(description="Of all that tell together.")]
    connected_since: Annotated[
        Time | None, Meta(description="Since when the node that is connected longest is.")
    ]
    tasks: Annotated[list[GpuTaskView], Meta(description="Your own, newest first.")]


def add_gpu_route(app: FastAPI, gpus: Gpus, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/analytics/gpus",
        tags=["Analytics"],
        summary="Show the market's GPUs",
        response_class=Response,
        responses={
            200: schemas.answer(GpuStatusView, "By what their nodes said last, seconds ago."),
            **errors("UNAUTHORIZED", "KEY_EXPIRED", "FORBIDDEN", "RATE_LIMITED"),
        },
    )
    async def get_gpus(caller: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """Of other accounts' tasks it says no more than that GPUs are taken."""
        status = await gpus.status(caller.account)
        return success(_view(status, time.time_ns() // 1_000_000))


def _view(status: GpuStatus, now_ms: int) -> GpuStatusView:
    figures = status.figures
    return GpuStatusView(
        total=figures.gpus,
        taken=figures.taken,
        utilization=figures.taken_percent,
        memory_bytes=figures.memory_bytes,
        memory_taken_bytes=figures.memory_taken_bytes,
        cpu_load=figures.cpu_load_percent,
        busy=figures.busy_percent,
        temperature_mean=figures.mean_celsius,
        temperature_max=figures.hottest_celsius,
        power_watts=None if figures.milliwatts is None else figures.milliwatts / 1000,
        connected_since=iso_or_none(figures.since_ms),
        tasks=[_task_view(each, now_ms) for each in status.tasks],
    )


def _task_view(task: GpuTask, now_ms: int) -> GpuTaskView:
    return GpuTaskView(
        task_id=task.row.id,
        node_id=task.row.node_id or "",
        running_seconds=task.ran_ms(now_ms) / 1000,
        memory_peak_bytes=task.memory_peak_bytes,
    )
