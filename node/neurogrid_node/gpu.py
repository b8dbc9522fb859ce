"""The GPUs of this machine, as NVIDIA's library tells them; a machine without one is said so.

NVML speaks for a driver that may be half broken: one GPU falls off the bus, a value is nonsense, a
call hangs. So each GPU is read on its own and what is wrong with it is said beside the others; an
unknown value is None, never a guess. Only pynvml is behind it, so the tests run the same code
against a simulated library (tests/nvml_sim).
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import pynvml

T = TypeVar("T")

# More than any machine has; a driver that claims more is not believed.
_GPUS_MAX: Final = 64
_PROCESSES_MAX: Final = 256
_MEMORY_BYTES_MAX: Final = 1 << 44
_TEMPERATURE_CELSIUS_MAX: Final = 150
_POWER_MILLIWATTS_MAX: Final = 10_000_000
_BUSY_S: Final = 20
_UUID: Final = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# One folder for each GPU that the kernel module drives.
_KERNEL_GPUS: Final = Path("/proc/driver/nvidia/gpus")

# NVML_ERROR_*: after these the GPU is of no use until somebody acts.
_UNUSABLE: Final = (pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED)
# After these the library has to be opened again.
_REOPEN: Final = (
    *_UNUSABLE,
    pynvml.NVML_ERROR_UNINITIALIZED,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    pynvml.NVML_ERROR_UNKNOWN,
)
_ADVICE: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver on this machine: CPU only",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is installed, but not loaded: CPU only (modprobe nvidia, or reboot)"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver was updated while running: CPU only until the machine is rebooted"
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no permission to use the NVIDIA driver: CPU only (run the node as root, or open /dev/nvidia*)"
    ),
}


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU.

    Attributes:
        pid: on the host.
        memory_bytes: None where the driver does not tell.
    """

    pid: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class GpuState:
    """One working GPU, now. None: the GPU or its driver does not tell.

    Attributes:
        uuid: what a container is given it by.
        memory_used_bytes: 0 to `memory_bytes`, by all processes and the driver.
        compute_capability: such as "8.9"; "0.0" when unknown.
        utilisation_percent: 0 to 100, over the last second or so.
        processes: what computes on it, ours included.
    """

    index: int
    uuid: str
    model: str
    memory_bytes: int
    memory_used_bytes: int
    compute_capability: str
    utilisation_percent: int | None
    temperature_celsius: int | None
    power_milliwatts: int | None
    processes: tuple[GpuProcess, ...] | None


@dataclass(frozen=True, slots=True)
class GpuFault:
    """A GPU that cannot be offered.

    Attributes:
        index: as NVML counts.
        uuid: empty when not even that could be read.
        code: lost, reset_required, mig_enabled, bad_uuid, duplicate_uuid, bad_memory, unreadable.
    """

    index: int
    uuid: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class GpuReading:
    """Every GPU at one moment.

    Attributes:
        driver: its version; empty without one.
        cuda: the newest CUDA version it runs, such as "12.4"; empty without one.
        note: why there is no GPU, or what else an operator should know; usually empty.
    """

    gpus: tuple[GpuState, ...] = ()
    faults: tuple[GpuFault, ...] = ()
    driver: str = ""
    cuda: str = ""
    note: str = ""


class GpuReader:
    """Reads NVML again and again, and survives its driver being reset or unloaded.

    Blocks, for a moment usually and for minutes with a sick driver: call it from a thread.
    """

    def __init__(self, kernel_gpus: Path = _KERNEL_GPUS) -> None:
        """
        Args:
            kernel_gpus: the kernel's own list of GPUs, compared with NVML's.
        """
        self._kernel_gpus = kernel_gpus
        self._is_open = False
        self._lock = threading.Lock()

    def read(self) -> GpuReading:
        """Every GPU now. Never raises for what a driver does."""
        # An earlier call may be stuck in the driver, and must not collect others behind it.
        if not self._lock.acquire(timeout=_BUSY_S):
            return GpuReading(note="the NVIDIA driver does not answer: CPU only (reboot)")
        try:
            if not self._is_open:
                pynvml.nvmlInit()
                self._is_open = True
            reading, is_sick = self._read()
        except pynvml.NVMLError as error:
            self._close()
            return GpuReading(note=_ADVICE.get(error.value, f"NVML: {error}: CPU only"))
        else:
            if is_sick:
                # Opened anew the next time: only then NVML sees a GPU that was reset.
                self._close()
            return reading
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close NVML. A later `read` opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            _or_none(pynvml.nvmlShutdown)

    def _read(self) -> tuple[GpuReading, bool]:
        count = int(pynvml.nvmlDeviceGetCount())
        gpus: list[GpuState] = []
        faults: list[GpuFault] = []
        is_sick = False
        for index in range(min(count, _GPUS_MAX)):
            try:
                gpu = _read_gpu(index)
            except pynvml.NVMLError as error:
                is_sick |= error.value in _REOPEN
                gpu = _fault(index, error)
            if isinstance(gpu, GpuState) and any(gpu.uuid == other.uuid for other in gpus):
                gpu = GpuFault(index, gpu.uuid, "duplicate_uuid", "another GPU has the same UUID")
            if isinstance(gpu, GpuState):
                gpus.append(gpu)
            else:
                faults.append(gpu)
        reading = GpuReading(
            gpus=tuple(gpus),
            faults=tuple(faults),
            driver=_text(_or_none(pynvml.nvmlSystemGetDriverVersion) or ""),
            cuda=_cuda_version(_or_none(pynvml.nvmlSystemGetCudaDriverVersion)),
            note=self._disagreement(count) or ("" if count else "the NVIDIA driver has no GPU"),
        )
        return reading, is_sick

    def _disagreement(self, count: int) -> str:
        """A faked NVML shows more GPUs than the kernel drives; a failed one shows fewer."""
        try:
            kernel = sum(1 for _ in self._kernel_gpus.iterdir())
        except OSError:  # no such folder inside a container
            return ""
        if kernel == count:
            return ""
        return f"the kernel drives {kernel} GPUs and NVML shows {count}: look at dmesg"


def _read_gpu(index: int) -> GpuState | GpuFault:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
    if not _UUID.match(uuid):
        return GpuFault(index, "", "bad_uuid", f"not a GPU's UUID: {uuid!r}")
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    total = int(memory.total)
    if not 0 < total <= _MEMORY_BYTES_MAX:
        return GpuFault(index, uuid, "bad_memory", f"it claims {total} bytes of memory")
    mig = _or_none(lambda: pynvml.nvmlDeviceGetMigMode(handle))
    if mig is not None and mig[0]:
        return GpuFault(
            index,
            uuid,
            "mig_enabled",
            "it is split (MIG); whole GPUs are offered: nvidia-smi -mig 0",
        )
    capability = _or_none(lambda: pynvml.nvmlDeviceGetCudaComputeCapability(handle))
    utilisation = _or_none(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
    temperature = _or_none(
        lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
    )
    power = _or_none(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
    running = _or_none(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    return GpuState(
        index=index,
        uuid=uuid,
        model=_text(pynvml.nvmlDeviceGetName(handle)),
        memory_bytes=total,
        memory_used_bytes=min(max(0, int(memory.used)), total),
        compute_capability=_capability(capability),
        utilisation_percent=None if utilisation is None else min(int(utilisation.gpu), 100),
        temperature_celsius=_within(temperature, _TEMPERATURE_CELSIUS_MAX),
        power_milliwatts=_within(power, _POWER_MILLIWATTS_MAX),
        processes=None
        if running is None
        else tuple(
            GpuProcess(int(process.pid), _within(process.usedGpuMemory, total))
            for process in running[:_PROCESSES_MAX]
        ),
    )


def _fault(index: int, error: pynvml.NVMLError) -> GpuFault:
    if error.value == pynvml.NVML_ERROR_GPU_IS_LOST:
        return GpuFault(index, "", "lost", "it fell off the bus: reboot, check power and seating")
    if error.value == pynvml.NVML_ERROR_RESET_REQUIRED:
        return GpuFault(index, "", "reset_required", "it needs a reset: nvidia-smi --gpu-reset")
    return GpuFault(index, "", "unreadable", f"NVML: {error}")


def _or_none(read: Callable[[], T]) -> T | None:
    """A value that not every GPU has. A GPU that is lost is still an error."""
    try:
        return read()
    except pynvml.NVMLError as error:
        if error.value in _UNUSABLE:
            raise
        return None


def _text(value: str) -> str:
    return "".join(character for character in value if character.isprintable()).strip()[:128]


def _within(value: int | None, most: int) -> int | None:
    """NVML says "unknown" with numbers such as 2**32 - 1."""
    return int(value) if value is not None and 0 <= value <= most else None


def _capability(pair: tuple[int, int] | None) -> str:
    if pair is None or not (0 <= pair[0] <= 99 and 0 <= pair[1] <= 9):
        return "0.0"
    return f"{pair[0]}.{pair[1]}"


def _cuda_version(number: int | None) -> str:
    """12040 is "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""
