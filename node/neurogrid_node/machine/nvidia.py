"""The GPUs of this machine, as NVIDIA's library tells them; a machine without one is said so.

NVML speaks for a driver that may be half broken: one GPU falls off the bus, a value is nonsense, a
call hangs. So each GPU is read on its own and what is wrong with it is said beside the others; an
unknown value is None, never a guess. A GPU that its owner has split (MIG) is read as its parts. Only
pynvml is behind it, so the tests run the same code against a simulated library (tests/nvml_sim).
"""

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pynvml

from .gpu_state import (
    ECC_ERRORS_MAX,
    GPUS_MAX,
    MEMORY_BYTES_MAX,
    POWER_MILLIWATTS_MAX,
    PROCESSES_MAX,
    TEMPERATURE_CELSIUS_MAX,
    GpuFault,
    GpuProcess,
    GpuReading,
    GpuState,
    XidEvent,
    printable,
    within,
)
from .nvidia_events import NvidiaEvents
from .processes import container_of

T = TypeVar("T")

_BUSY_S: Final = 20
_GPU_UUID: Final = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# Since driver 470 a part has a UUID of its own; before, its GPU's and two numbers.
_MIG_UUID: Final = re.compile(
    r"MIG-(GPU-)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(/[0-9]{1,3}){0,2}\Z"
)
_PCI_ADDRESS: Final = re.compile(r"[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7]\Z")
_MIG_PROFILE: Final = re.compile(r"\bMIG ([0-9a-z.+]{1,32})\Z")
# The most parts of any GPU, with room for a generation to come.
_MIG_PARTS_MAX: Final = 16
_MINOR_MAX: Final = 254
# One folder for each GPU that the kernel module drives.
KERNEL_GPUS: Final = Path("/proc/driver/nvidia/gpus")
# Every program that computes needs these beside its GPU's own node.
_COMMON_NODES: Final = ("/dev/nvidiactl", "/dev/nvidia-uvm")
# What slows a GPU down against its owner's will. Idle, and clocks that somebody has set, do not.
_THROTTLE: Final = {
    pynvml.nvmlClocksEventReasonSwPowerCap: "power",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "thermal",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "thermal",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "power_brake",
}
NO_ANSWER: Final = "the NVIDIA driver does not answer: CPU only (reboot)"
NO_DRIVER: Final = "no NVIDIA driver on this machine: CPU only"
NO_GPU: Final = "the NVIDIA driver has no GPU"
NOT_LOADED: Final = (
    "the NVIDIA driver is installed, but not loaded: CPU only (modprobe nvidia, or reboot)"
)
UPDATED: Final = (
    "the NVIDIA driver was updated while running: CPU only until the machine is rebooted"
)
NO_PERMISSION: Final = (
    "no permission to use the NVIDIA driver: CPU only (run the node as root, or open /dev/nvidia*)"
)
_DISAGREEMENT: Final = "the kernel drives {} GPUs and NVML shows {}: look at dmesg"

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
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: NO_DRIVER,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: NOT_LOADED,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: UPDATED,
    pynvml.NVML_ERROR_NO_PERMISSION: NO_PERMISSION,
}


class NvidiaReader:
    """Reads NVML again and again, and survives its driver being reset or unloaded.

    Blocks, for a moment usually and for minutes with a sick driver: call it from a thread.
    """

    def __init__(self, kernel_gpus: Path = KERNEL_GPUS, proc: Path = Path("/proc")) -> None:
        """
        Args:
            kernel_gpus: the kernel's own list of GPUs, compared with NVML's.
            proc: where the kernel shows processes.
        """
        self._kernel_gpus = kernel_gpus
        self._proc = proc
        self._is_open = False
        self._events = NvidiaEvents()
        self._lock = threading.Lock()

    def read(self) -> GpuReading:
        """Every GPU now. Never raises for what a driver does."""
        # An earlier call may be stuck in the driver, and must not collect others behind it.
        if not self._lock.acquire(timeout=_BUSY_S):
            return GpuReading(note=NO_ANSWER)
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
                # Opened anew the next time: only then NVML sees a GPU that was reset or put in.
                self._close()
            return reading
        finally:
            self._lock.release()

    def wait(self, timeout_ms: int) -> tuple[XidEvent, ...]:
        """Errors that the driver reports within this time, as soon as there is one.

        Returns at once where nothing can be waited for: no driver, or it cannot report.
        """
        if not self._lock.acquire(timeout=_BUSY_S):
            return ()
        try:
            return self._events.wait(timeout_ms) if self._is_open else ()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close NVML. A later `read` opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._events.close()
            _or_none(pynvml.nvmlShutdown)

    def _read(self) -> tuple[GpuReading, bool]:
        count = int(pynvml.nvmlDeviceGetCount())
        gpus: list[GpuState] = []
        faults: list[GpuFault] = []
        handles: dict[str, Any] = {}
        is_sick = False
        for index in range(min(count, GPUS_MAX)):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                found = self._read_gpu(index, handle)
            except pynvml.NVMLError as error:
                is_sick |= error.value in _REOPEN
                faults.append(_fault(index, error))
                continue
            for unit in found:
                if isinstance(unit, GpuFault):
                    faults.append(unit)
                elif any(unit.uuid == other.uuid for other in gpus):
                    message = "another GPU has the same UUID"
                    faults.append(GpuFault(index, unit.uuid, "duplicate_uuid", message))
                else:
                    gpus.append(unit)
                    handles[unit.parent_uuid or unit.uuid] = handle
        self._events.follow(handles)
        disagreement = self._disagreement(count)
        reading = GpuReading(
            gpus=tuple(gpus[:GPUS_MAX]),
            faults=tuple(faults),
            driver=printable(_or_none(pynvml.nvmlSystemGetDriverVersion) or ""),
            cuda=_cuda_version(_or_none(pynvml.nvmlSystemGetCudaDriverVersion)),
            note=disagreement or ("" if count else NO_GPU),
        )
        return reading, is_sick or bool(disagreement)

    def _disagreement(self, count: int) -> str:
        """A faked NVML shows more GPUs than the kernel drives; a failed one shows fewer."""
        try:
            kernel = sum(1 for _ in self._kernel_gpus.iterdir())
        except OSError:  # no such folder inside a container
            return ""
        if kernel == count:
            return ""
        return _DISAGREEMENT.format(kernel, count)

    def _read_gpu(self, index: int, handle: Any) -> list[GpuState | GpuFault]:
        """A whole GPU, or its parts."""
        uuid = printable(pynvml.nvmlDeviceGetUUID(handle))
        if not _GPU_UUID.match(uuid):
            return [GpuFault(index, "", "bad_uuid", f"not a GPU's UUID: {uuid!r}")]
        memory = _memory(handle)
        if memory is None:
            return [GpuFault(index, uuid, "bad_memory", "it claims an impossible amount of memory")]
        whole = self._whole(index, handle, uuid, memory)
        mig = _or_none(lambda: pynvml.nvmlDeviceGetMigMode(handle))
        if mig is None or not mig[0]:
            return [whole]
        parts = [
            part
            for number in range(self._parts(handle))
            if (part := self._part(whole, handle, number)) is not None
        ]
        if parts:
            return [*parts]
        return [
            GpuFault(
                index,
                uuid,
                "mig_empty",
                "it is to be split (MIG) and has no parts: make some with nvidia-smi mig -cgi, or "
                "offer it whole: nvidia-smi -mig 0",
            )
        ]

    def _whole(self, index: int, handle: Any, uuid: str, memory: tuple[int, int]) -> GpuState:
        capability = _or_none(lambda: pynvml.nvmlDeviceGetCudaComputeCapability(handle))
        utilisation = _or_none(lambda: pynvml.nvmlDeviceGetUtilizationRates(handle))
        temperature = _or_none(
            lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)
        )
        power = _or_none(lambda: pynvml.nvmlDeviceGetPowerUsage(handle))
        limit = _or_none(lambda: pynvml.nvmlDeviceGetEnforcedPowerLimit(handle))
        reasons = _or_none(lambda: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        return GpuState(
            index=index,
            uuid=uuid,
            model=printable(pynvml.nvmlDeviceGetName(handle)),
            memory_bytes=memory[0],
            memory_used_bytes=memory[1],
            compute_capability=_capability(capability),
            utilisation_percent=None if utilisation is None else min(int(utilisation.gpu), 100),
            temperature_celsius=within(temperature, TEMPERATURE_CELSIUS_MAX),
            power_milliwatts=within(power, POWER_MILLIWATTS_MAX),
            processes=self._processes(handle, memory[0]),
            power_limit_milliwatts=within(limit, POWER_MILLIWATTS_MAX),
            throttle=_throttle(reasons),
            ecc_corrected=_ecc_errors(handle, pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED),
            ecc_uncorrected=_ecc_errors(handle, pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED),
            pci_address=_pci_address(handle),
            device_nodes=_device_nodes(handle),
        )

    def _parts(self, handle: Any) -> int:
        most = _or_none(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
        return min(int(most or 0), _MIG_PARTS_MAX)

    def _part(self, whole: GpuState, handle: Any, number: int) -> GpuState | GpuFault | None:
        """One part of a GPU; None: there is none of this number."""
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            uuid = printable(pynvml.nvmlDeviceGetUUID(part))
            memory = _memory(part)
            name = printable(pynvml.nvmlDeviceGetName(part))
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_NOT_FOUND:
                return None
            if error.value in _UNUSABLE:
                raise
            return _fault(whole.index, error)
        if not _MIG_UUID.match(uuid):
            return GpuFault(whole.index, "", "bad_uuid", f"not a part's UUID: {uuid!r}")
        if memory is None or memory[0] > whole.memory_bytes:
            message = "it claims more memory than the GPU that it is a part of"
            return GpuFault(whole.index, uuid, "bad_memory", message)
        profile = _MIG_PROFILE.search(name)
        return GpuState(
            index=whole.index,
            uuid=uuid,
            model=name,
            memory_bytes=memory[0],
            memory_used_bytes=memory[1],
            compute_capability=whole.compute_capability,
            # NVML does not tell how busy a part is.
            utilisation_percent=None,
            temperature_celsius=whole.temperature_celsius,
            power_milliwatts=whole.power_milliwatts,
            processes=self._processes(part, memory[0]),
            power_limit_milliwatts=whole.power_limit_milliwatts,
            throttle=whole.throttle,
            ecc_corrected=whole.ecc_corrected,
            ecc_uncorrected=whole.ecc_uncorrected,
            pci_address=whole.pci_address,
            parent_uuid=whole.uuid,
            profile=profile.group(1) if profile else "",
            device_nodes=whole.device_nodes,
        )

    def _processes(self, handle: Any, memory_bytes: int) -> tuple[GpuProcess, ...] | None:
        running = _or_none(lambda: pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        if running is None:
            return None
        return tuple(
            GpuProcess(
                int(process.pid),
                within(process.usedGpuMemory, memory_bytes),
                container_of(int(process.pid), self._proc),
            )
            for process in running[:PROCESSES_MAX]
        )


def is_disagreement(note: str) -> bool:
    """Whether a reading's note says that the kernel and NVML do not count alike."""
    return note.startswith(_DISAGREEMENT.partition("{")[0])


def _memory(handle: Any) -> tuple[int, int] | None:
    """All and used; None: it cannot be so much."""
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    total = int(memory.total)
    if not 0 < total <= MEMORY_BYTES_MAX:
        return None
    return total, min(max(0, int(memory.used)), total)


def _ecc_errors(handle: Any, kind: int) -> int | None:
    count = _or_none(
        lambda: pynvml.nvmlDeviceGetTotalEccErrors(handle, kind, pynvml.NVML_VOLATILE_ECC)
    )
    return within(count, ECC_ERRORS_MAX)


def _pci_address(handle: Any) -> str:
    found = _or_none(lambda: pynvml.nvmlDeviceGetPciInfo(handle))
    text = "" if found is None else _decoded(found.busId)
    if not _PCI_ADDRESS.match(text):
        return ""
    # NVML writes eight digits of the domain, the kernel four.
    domain, _, rest = text.lower().partition(":")
    return f"{int(domain, 16):04x}:{rest}"


def _device_nodes(handle: Any) -> tuple[str, ...]:
    minor = within(_or_none(lambda: pynvml.nvmlDeviceGetMinorNumber(handle)), _MINOR_MAX)
    return () if minor is None else (*_COMMON_NODES, f"/dev/nvidia{minor}")


def _throttle(reasons: int | None) -> tuple[str, ...]:
    if reasons is None:
        return ()
    return tuple(dict.fromkeys(name for bit, name in _THROTTLE.items() if reasons & bit))


def _decoded(value: str | bytes) -> str:
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else value)


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


def _capability(pair: tuple[int, int] | None) -> str:
    if pair is None or not (0 <= pair[0] <= 99 and 0 <= pair[1] <= 9):
        return "0.0"
    return f"{pair[0]}.{pair[1]}"


def _cuda_version(number: int | None) -> str:
    """12040 is "12.4"."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else ""
