"""The GPUs of this machine, of whichever maker; a machine without one is said so."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from .amd import AMDGPU_IDS, read_amd
from .gpu_state import GPUS_MAX, GpuFault, GpuProcess, GpuReading, GpuState, XidEvent
from .nvidia import KERNEL_GPUS, NO_DRIVER, NvidiaReader

__all__ = ["GpuFault", "GpuProcess", "GpuReader", "GpuReading", "GpuState", "XidEvent"]

_SYSFS: Final = Path("/sys")
_PROC: Final = Path("/proc")


class GpuReader:
    """Reads both makers' GPUs again and again, and survives their drivers being reset or unloaded.

    Blocks, for a moment usually and for minutes with a sick driver: call it from a thread.
    """

    def __init__(
        self,
        kernel_gpus: Path = KERNEL_GPUS,
        *,
        sysfs: Path = _SYSFS,
        proc: Path = _PROC,
        amdgpu_ids: Path = AMDGPU_IDS,
    ) -> None:
        """
        Args:
            kernel_gpus: the kernel's own list of NVIDIA's GPUs, compared with NVML's.
            sysfs, proc: where the kernel shows devices and processes.
            amdgpu_ids: libdrm's table of AMD's names.
        """
        self._nvidia = NvidiaReader(kernel_gpus, proc)
        self._sysfs = sysfs
        self._proc = proc
        self._amdgpu_ids = amdgpu_ids

    def read(self) -> GpuReading:
        """Every GPU now. Never raises for what a driver does."""
        nvidia = self._nvidia.read()
        amd = read_amd(self._sysfs, self._proc, self._amdgpu_ids)
        if not amd.gpus and not amd.faults:
            return nvidia
        return replace(
            nvidia,
            gpus=(nvidia.gpus + amd.gpus)[:GPUS_MAX],
            faults=(nvidia.faults + amd.faults)[:GPUS_MAX],
            driver=nvidia.driver or amd.driver,
            # A machine of AMD's needs no driver of NVIDIA's.
            note="" if nvidia.note == NO_DRIVER else nvidia.note,
        )

    def wait(self, timeout_ms: int) -> tuple[XidEvent, ...]:
        """Errors that NVIDIA's driver reports within this time, as soon as there is one."""
        return self._nvidia.wait(timeout_ms)

    def close(self) -> None:
        """Close what is open. A later `read` opens it again."""
        self._nvidia.close()
