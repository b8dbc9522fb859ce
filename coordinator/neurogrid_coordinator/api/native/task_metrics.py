"""``/tasks/{task_id}/metrics``: what its job uses, and has used."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from msgspec import Meta, Struct
from starlette.responses import Response

from neurogrid_marketplace.usage import GpuUse

from ...services.task_metrics import Metrics, Point, TaskMetrics
from ...tasks.usage_series import SAMPLES_MAX, Totals, gpu_percent
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import TaskStatus, Time
from .task_views import progress_percent
from .words import STATUS_OF_PHASE

_Percent = Annotated[float, Meta(ge=0)]
# Of several runs, the newest: so many samples fit one answer.
_SAMPLES_MAX = 4 * SAMPLES_MAX


class GpuUseView(Struct, frozen=True):
    """One of the job's GPUs. null: it does not tell."""

    id: str
    utilization: Annotated[int | None, Meta(description="Percent of the last second or so.")]
    memory_used_bytes: int | None
    temperature: Annotated[int | None, Meta(description="Degrees Celsius.")]
    power_watts: float | None


class UsageSampleView(Struct, frozen=True):
    """What the job had used at a moment; sums count from the start of its container."""

    timestamp: Time
    lease_id: str
    cpu_usage: Annotated[
        _Percent | None,
        Meta(
            description="Of the processor time that it asked for, since the sample before; more than 100 "
            "where it had more. null of a run's first."
        ),
    ]
    cpu_seconds: float
    memory_bytes: int
    memory_usage: Annotated[_Percent, Meta(description="Of its limit.")]
    disk_read_bytes: int | None
    disk_written_bytes: int | None
    network_received_bytes: int | None
    network_sent_bytes: int | None
    gpu_usage: Annotated[_Percent | None, Meta(description="Of its GPUs, mean; null without any.")]
    gpus: list[GpuUseView]


class UsageSummaryView(Struct, frozen=True):
    """What all runs of the task came to. null: nobody could tell."""

    samples: Annotated[int, Meta(description="How many there are. 0: nothing was measured yet.")]
    cpu_seconds: float
    memory_bytes: Annotated[int, Meta(description="As of the last sample.")]
    memory_peak_bytes: int
    memory_limit_bytes: int
    disk_read_bytes: int | None
    disk_written_bytes: int | None
    network_received_bytes: int | None
    network_sent_bytes: int | None
    gpu_usage_mean: Annotated[float | None, Meta(description="Percent, of the samples kept.")]
    gpu_usage_max: int | None
    gpu_memory_peak_bytes: Annotated[int | None, Meta(description="Of all its GPUs together.")]
    gpu_temperature_max: int | None
    gpu_power_max_watts: Annotated[float | None, Meta(description="Of all its GPUs together.")]


class TaskMetricsView(Struct, frozen=True):
    """What a task's job uses, by its nodes' word."""

    task_id: str
    status: TaskStatus
    progress: float
    summary: UsageSummaryView
    samples: Annotated[list[UsageSampleView], Meta(description="The newest, oldest first.")]


def add_task_metrics_route(app: FastAPI, metrics: Metrics, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/tasks/{{task_id}}/metrics",
        tags=["Tasks"],
        summary="Show what a task's job uses",
        response_class=Response,
        responses={
            200: schemas.answer(TaskMetricsView, "While it runs, and when it has ended."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "NOT_FOUND", "RATE_LIMITED"),
        },
    )
    async def get_task_metrics(
        task_id: str,
        caller: Annotated[Caller, Depends(gate)],
        limit: Annotated[
            int, Query(ge=0, le=_SAMPLES_MAX, description="How many samples, the newest.")
        ] = SAMPLES_MAX,
    ) -> Response:
        """Nodes measure about every five seconds; of a long run at most 240 samples are kept, evenly spread. Some nodes can't tell:
        then there are none."""
        return success(_view(await metrics.of_task(caller.account, task_id, limit)))


def _view(found: TaskMetrics) -> TaskMetricsView:
    row = found.row
    return TaskMetricsView(
        task_id=row.id,
        status=STATUS_OF_PHASE[row.phase],
        progress=progress_percent(row),
        summary=_summary(found.totals, found.total, found.needs.memory_bytes),
        samples=[_sample(point, found.needs.memory_bytes) for point in found.points],
    )


def _summary(totals: Totals, samples: int, memory_limit_bytes: int) -> UsageSummaryView:
    return UsageSummaryView(
        samples=samples,
        cpu_seconds=totals.cpu_ms / 1000,
        memory_bytes=totals.memory_bytes,
        memory_peak_bytes=totals.memory_peak_bytes,
        memory_limit_bytes=memory_limit_bytes,
        disk_read_bytes=totals.disk_read_bytes,
        disk_written_bytes=totals.disk_written_bytes,
        network_received_bytes=totals.network_received_bytes,
        network_sent_bytes=totals.network_sent_bytes,
        gpu_usage_mean=totals.gpu_mean_percent,
        gpu_usage_max=totals.gpu_most_percent,
        gpu_memory_peak_bytes=totals.gpu_memory_peak_bytes,
        gpu_temperature_max=totals.gpu_most_celsius,
        gpu_power_max_watts=_watts(totals.gpu_most_milliwatts),
    )


def _sample(point: Point, memory_limit_bytes: int) -> UsageSampleView:
    sample, usage = point.sample, point.sample.usage
    limit = memory_limit_bytes
    return UsageSampleView(
        timestamp=iso(sample.at_ms),
        lease_id=sample.lease_id,
        cpu_usage=point.cpu_percent,
        cpu_seconds=usage.cpu_ms / 1000,
        memory_bytes=usage.memory_bytes,
        memory_usage=round(100 * usage.memory_bytes / limit, 1) if limit else 0.0,
        disk_read_bytes=usage.disk_read_bytes,
        disk_written_bytes=usage.disk_written_bytes,
        network_received_bytes=usage.network_received_bytes,
        network_sent_bytes=usage.network_sent_bytes,
        gpu_usage=gpu_percent(usage.gpus),
        gpus=_gpus(usage.gpus),
    )


def _gpus(gpus: Sequence[GpuUse]) -> list[GpuUseView]:
    return [
        GpuUseView(
            id=gpu.uuid,
            utilization=gpu.utilisation_percent,
            memory_used_bytes=gpu.memory_used_bytes,
            temperature=gpu.temperature_celsius,
            power_watts=_watts(gpu.power_milliwatts),
        )
        for gpu in gpus
    ]


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
