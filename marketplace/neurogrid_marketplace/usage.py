"""What a job uses, and how GPUs are, as their node has measured it. Values only.

Said in heartbeats: nothing is decided by it, nothing here needs to arrive, and the latest counts.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from .fields import Bytes, Millis, Word

Percent = Annotated[int, Meta(ge=0, le=100)]
# What a driver says above is not believed.
Celsius = Annotated[int, Meta(ge=0, le=150)]
Milliwatts = Annotated[int, Meta(ge=0, le=10_000_000)]


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU, or a part of one, now. None: the GPU or its driver does not tell.

    Attributes:
        uuid: as it is offered.
        utilisation_percent: how much of the last second or so it computed.
        memory_used_bytes: by all its programs and the driver.
        temperature_celsius: of a part: the whole's.
        power_milliwatts: None of a part: there is only the whole's.
    """

    uuid: Word
    utilisation_percent: Percent | None = None
    memory_used_bytes: Bytes | None = None
    temperature_celsius: Celsius | None = None
    power_milliwatts: Milliwatts | None = None


# As `resources.Gpus`.
GpuUses = Annotated[tuple[GpuUse, ...], Meta(max_length=64)]


@dataclass(frozen=True, slots=True)
class LeaseUsage:
    """What a job has used since its container started, and uses now. None: its engine does not tell.

    Attributes:
        cpu_ms: processor time of all its processes.
        memory_bytes: now, without file cache that the kernel would give back.
        disk_read_bytes, disk_written_bytes: from and to block devices.
        network_received_bytes, network_sent_bytes: by the hosts that it may reach; None where it may none.
        gpus: its own, now.
    """

    cpu_ms: Millis
    memory_bytes: Bytes
    disk_read_bytes: Bytes | None = None
    disk_written_bytes: Bytes | None = None
    network_received_bytes: Bytes | None = None
    network_sent_bytes: Bytes | None = None
    gpus: GpuUses = ()
