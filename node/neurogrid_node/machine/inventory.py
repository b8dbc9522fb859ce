"""What this machine has to offer: processors, memory, disk and GPUs."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil
import trio

from neurogrid_marketplace.resources import Gpu

from .fitness import Withheld
from .gpu import GpuFault, GpuReader, GpuReading, GpuState

_GIB: Final = 1 << 30
# The system, the engine and the node keep this, or a sixteenth where that is more: jobs that use
# all that was promised to them must not push the machine into its out-of-memory killer.
_SYSTEM_MEMORY_BYTES: Final = 512 << 20
# Images are unpacked beside the jobs' disks, and a full disk stops the engine.
_SYSTEM_DISK_BYTES: Final = 2 * _GIB
# nvmlInit takes seconds on a machine with many GPUs and no persistence daemon.
_GPU_PATIENCE_S: Final = 30
# What an offer takes for a driver's version (marketplace `DriverVersion`).
_VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Inventory:
    """This machine at one moment.

    Attributes:
        cpu_cores: that this process may use.
        memory_bytes: for jobs: the machine's, less what the system keeps.
        disk_free_bytes: for jobs, where their files lie: what is free, less what the system keeps.
        gpus: those that work.
        gpu_faults: those that do not, and why.
        gpu_note: why there is none, or what else an operator should know.
        withheld: those that are not offered for now, though they may be among `gpus`.
    """

    cpu_cores: int
    memory_bytes: int
    disk_free_bytes: int
    gpus: tuple[GpuState, ...] = ()
    gpu_faults: tuple[GpuFault, ...] = ()
    gpu_note: str = ""
    driver: str = ""
    cuda: str = ""
    withheld: tuple[Withheld, ...] = ()

    def offered_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that may be offered, in the market's terms."""
        withheld = {each.uuid for each in self.withheld}
        return in_market_terms(gpu for gpu in self.gpus if gpu.uuid not in withheld)

    @property
    def reading(self) -> GpuReading:
        """The GPUs as they were read."""
        return GpuReading(self.gpus, self.gpu_faults, self.driver, self.cuda, self.gpu_note)

    def with_gpus(self, reading: GpuReading, withheld: tuple[Withheld, ...]) -> "Inventory":
        """The same machine with its GPUs as they are now."""
        return replace(
            self,
            gpus=reading.gpus,
            gpu_faults=reading.faults,
            gpu_note=reading.note,
            withheld=withheld,
            driver=reading.driver,
            cuda=reading.cuda,
        )

    @property
    def driver_version(self) -> str:
        """The driver's version in the market's terms; empty where it has none of that form."""
        return self.driver if self.gpus and _VERSION.fullmatch(self.driver) else ""

    @property
    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.cpu_cores} cores", f"{self.memory_bytes / _GIB:.1f} GiB memory"]
        parts.append(f"{self.disk_free_bytes / _GIB:.0f} GiB disk")
        models = [f"{gpu.model} ({gpu.memory_bytes / _GIB:.0f} GiB)" for gpu in self.gpus]
        for model in dict.fromkeys(models):
            parts.append(f"{models.count(model)} x {model}")
        if self.driver:
            parts.append(f"driver {self.driver}" + (f", CUDA {self.cuda}" if self.cuda else ""))
        parts.extend(f"GPU {fault.index} not offered: {fault.code}" for fault in self.gpu_faults)
        parts.extend(f"{each.uuid[:12]} withheld: {each.code}" for each in self.withheld)
        if self.gpu_note:
            parts.append(self.gpu_note)
        return ", ".join(parts)[:1024]


def in_market_terms(gpus: Iterable[GpuState]) -> tuple[Gpu, ...]:
    """GPUs as they are offered."""
    return tuple(
        Gpu(gpu.uuid, gpu.model, gpu.memory_bytes, gpu.compute_capability, gpu.vendor)
        for gpu in gpus
    )


async def take_inventory(
    directory: Path, *, gpus: bool = True, reader: GpuReader | None = None
) -> Inventory:
    """Look at this machine.

    Args:
        directory: on the filesystem where the jobs' files will lie.
        gpus: False offers none.
        reader: used again, it saves opening NVML each time.
    """
    reading = await read_gpus(reader) if gpus else GpuReading(note="GPUs are not offered")
    memory, disk = await trio.to_thread.run_sync(_measure, directory)
    return Inventory(
        cpu_cores=len(os.sched_getaffinity(0)),
        memory_bytes=memory,
        disk_free_bytes=disk,
        gpus=reading.gpus,
        gpu_faults=reading.faults,
        gpu_note=reading.note,
        driver=reading.driver,
        cuda=reading.cuda,
    )


async def read_gpus(reader: GpuReader | None = None) -> GpuReading:
    """The GPUs now; a driver that does not answer in time counts as none."""
    given = reader or GpuReader()
    reading = None
    with trio.move_on_after(_GPU_PATIENCE_S):
        # Abandoned, not waited for: a thread inside a sick driver may never come back.
        reading = await trio.to_thread.run_sync(given.read, abandon_on_cancel=True)
    if reading is None:
        return GpuReading(
            note=f"the NVIDIA driver has not answered for {_GPU_PATIENCE_S} s: CPU only (reboot)"
        )
    if reader is None:
        await trio.to_thread.run_sync(given.close)
    return reading


def system_memory_bytes(total_bytes: int) -> int:
    """What of a machine's memory no job gets."""
    return max(_SYSTEM_MEMORY_BYTES, total_bytes // 16)


def _measure(directory: Path) -> tuple[int, int]:
    total = psutil.virtual_memory().total
    memory = max(0, total - system_memory_bytes(total))
    space = os.statvfs(directory)
    disk = max(0, space.f_bavail * space.f_frsize - _SYSTEM_DISK_BYTES)
    return memory, disk
