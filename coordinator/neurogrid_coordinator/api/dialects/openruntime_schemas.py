"""What document 004 takes and answers: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ..native.operation_schemas import DevicePreference, OperationParameters
from ..native.schemas import TaskStatus, Time

DeviceStatus = Literal["available", "busy", "unavailable"]
_Percent = Annotated[float, Meta(ge=0, le=100)]


class ServiceInfo(Struct, frozen=True):
    """The service."""

    name: str
    version: str
    status: Literal["running"]


class HealthFigures(Struct, frozen=True):
    """How much of the market is taken."""

    gpu_utilization: Annotated[
        _Percent,
        Meta(description="Share of all offered GPUs that jobs have; 0 where there are none."),
    ]
    memory_usage: Annotated[_Percent, Meta(description="The same of main memory.")]
    active_tasks: Annotated[int, Meta(description="That have a node, of all accounts.")]
    ai_tasks_processed: int


class Health(Struct, frozen=True):
    """Whether the coordinator is well."""

    status: Literal["healthy", "degraded"]
    timestamp: Time
    service: str
    version: str
    devices: int
    metrics: HealthFigures


class Figures(Struct, frozen=True):
    """How much of the market is taken."""

    gpu_utilization: _Percent
    memory_usage: _Percent
    active_tasks: int
    ai_tasks_processed: int
    uptime: Annotated[str, Meta(description="Of the coordinator.", examples=["2h 15m"])]
    timestamp: Time


class Device(Struct, frozen=True):
    """A CPU or GPU of a connected node."""

    id: Annotated[
        str, Meta(description="Its node's id, a colon, and `cpu` or `gpu` with a number.")
    ]
    name: str
    type: Literal["cpu", "gpu"]
    status: DeviceStatus
    capabilities: list[str]
    memory_total: Annotated[int, Meta(description="Bytes.")]
    memory_available: Annotated[int, Meta(description="Bytes that no job has.")]


class DeviceList(Struct, frozen=True):
    """Devices."""

    devices: list[Device]


class OperationTask(Struct, frozen=True, forbid_unknown_fields=True):
    """An operation to compute."""

    operation: Annotated[
        str,
        Meta(
            max_length=64,
            description="`compute`, `matrix_multiply`, `vector_operations`, `memory_bandwidth` or `mlx_operation`.",
        ),
    ]
    parameters: OperationParameters
    device_preference: DevicePreference = "auto"
    priority: Annotated[int, Meta(ge=1, le=10)] = 5


class TaskResult(Struct, frozen=True):
    """What came of an operation."""

    execution_time: Annotated[float, Meta(description="Seconds, as its program measured it.")]
    device_used: str
    output: Annotated[
        dict[str, Any], Meta(description="checksum, verified, throughput, throughput_unit.")
    ]


class TaskAnswer(Struct, frozen=True):
    """An operation that has completed."""

    task_id: str
    status: Literal["completed"]
    result: TaskResult
    execution_time: float
    timestamp: Time


class PerformanceMetrics(Struct, frozen=True):
    """What an operation took; 0 before it has completed, and where its result is compared with others'."""

    execution_time_ms: int
    memory_used_mb: Annotated[float, Meta(description="10^6 bytes, of its program.")]
    gpu_utilization: Annotated[_Percent, Meta(description="0: operations compute on CPUs.")]


class EnhancedTask(Struct, frozen=True):
    """An operation with what it took."""

    task_id: str
    operation: str
    status: TaskStatus
    performance_metrics: PerformanceMetrics
    timestamp: Annotated[Time, Meta(description="When it ended; before, when it was asked for.")]


class EnhancedTaskList(Struct, frozen=True):
    """A page of operations."""

    tasks: list[EnhancedTask]
    total_count: int
    timestamp: Time


class ErrorEnvelope(Struct, frozen=True):
    """Every error of document 004."""

    status: Literal["error"]
    data: Annotated[dict[str, Any], Meta(description="`code` and `details`, as natively.")]
    error: str
    timestamp: Time
