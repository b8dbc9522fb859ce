"""What tasks' jobs use."""

from datetime import datetime

from msgspec import Struct

from .tasks import TaskStatus


class GpuUse(Struct, frozen=True, kw_only=True):
    """One of a job's GPUs. None: it does not tell.

    Attributes:
        utilization: percent of the last second or so.
        temperature: degrees Celsius.
    """

    id: str
    utilization: int | None = None
    memory_used_bytes: int | None = None
    temperature: int | None = None
    power_watts: float | None = None


class UsageSample(Struct, frozen=True, kw_only=True):
    """What a job had used at a moment; sums count from the start of its container.

    Attributes:
        cpu_usage: percent of the processor time that it asked for, since the sample before; None of a run's first.
        memory_usage: percent of its limit.
        gpu_usage: percent, mean of its GPUs; None without any.
    """

    timestamp: datetime
    lease_id: str
    cpu_seconds: float
    memory_bytes: int
    memory_usage: float
    cpu_usage: float | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    gpu_usage: float | None = None
    gpus: list[GpuUse] = []


class UsageSummary(Struct, frozen=True, kw_only=True):
    """What all runs of a task came to. None: nobody could tell.

    Attributes:
        samples: how many there are; 0: nothing was measured yet.
        gpu_usage_mean, gpu_usage_max: percent, of the samples that are kept.
    """

    samples: int
    cpu_seconds: float
    memory_bytes: int
    memory_peak_bytes: int
    memory_limit_bytes: int
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None
    network_received_bytes: int | None = None
    network_sent_bytes: int | None = None
    gpu_usage_mean: float | None = None
    gpu_usage_max: int | None = None
    gpu_memory_peak_bytes: int | None = None
    gpu_temperature_max: int | None = None
    gpu_power_max_watts: float | None = None


class TaskMetrics(Struct, frozen=True, kw_only=True):
    """What a task's job uses while it runs, and has used when it has ended, as its nodes measured it.

    Attributes:
        progress: percent, as the program itself says.
        samples: the newest, oldest first.
    """

    task_id: str
    status: TaskStatus
    progress: float
    summary: UsageSummary
    samples: list[UsageSample]
