"""GPUs, their drivers and their nodes in /dev: facts in, findings out. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from neurogrid_marketplace.resources import AMD, NVIDIA

from ..machine.gpu_state import GpuReading
from ..machine.nvidia import (
    NO_ANSWER,
    NO_DRIVER,
    NO_GPU,
    NO_PERMISSION,
    NOT_LOADED,
    UPDATED,
    is_disagreement,
)
from .findings import Finding

# Programs built with CUDA 12 need at least this driver. Source: NVIDIA, CUDA 12 release notes, table
# "CUDA Toolkit and Minimum Required Driver Version for CUDA Minor Version Compatibility".
_DRIVER_MIN: Final = (525, 60, 13)
_REBOOT: Final = "reboot; if it happens again, look at dmesg for NVRM"


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """What is known of this machine's GPUs.

    Attributes:
        wanted: whether the owner offers them.
        reading: as their drivers tell; None: they did not in time.
        on_bus: the makers whose GPUs the PCI bus has, driver or not.
        closed: nodes in /dev that a job could not open -> why.
        missing: those that are not there: NVIDIA's toolkit makes some when the first container needs them.
        withheld: what the running node does not offer, and why.
    """

    wanted: bool
    reading: GpuReading | None
    on_bus: frozenset[str] = frozenset()
    closed: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def judge_gpus(facts: GpuFacts) -> tuple[Finding, ...]:
    """Whether each can be given to a job."""
    if not facts.wanted:
        return (Finding("GPU_NOT_OFFERED", "[offer] gpus in node.toml is false"),)
    reading = facts.reading
    if reading is None:
        return (Finding("GPU_SILENT", "the driver has not answered in time", _REBOOT),)
    found = [*_note(reading, facts.on_bus)]
    found += [
        Finding(
            "GPU_FAULT",
            f"{fault.uuid or f'GPU {fault.index}'}: {fault.message} ({fault.code})",
            "see docs/inventory.md; the others are offered",
        )
        for fault in reading.faults
    ]
    found += [
        Finding("GPU_NODE_CLOSED", f"{node}: {why}", _mend(node)) for node, why in facts.closed
    ]
    found += [
        Finding("GPU_NODE_MISSING", f"there is no {node}", "nvidia-modprobe -c 0 -u")
        for node in facts.missing
    ]
    found += [
        Finding("GPU_WITHHELD", words, "see `neurogrid-node status`") for words in facts.withheld
    ]
    if any(gpu.vendor == NVIDIA for gpu in reading.gpus) and _is_old(reading.driver):
        found.append(
            Finding(
                "DRIVER_OLD",
                f"driver {reading.driver} runs no program of CUDA 12",
                f"install driver {'.'.join(map(str, _DRIVER_MIN))} or newer",
            )
        )
    if reading.gpus and not facts.closed:
        models = [gpu.model for gpu in reading.gpus]
        counted = ", ".join(f"{models.count(model)} x {model}" for model in dict.fromkeys(models))
        driver = f", driver {reading.driver}" if reading.driver else ""
        found.append(Finding("GPU_OK", counted + driver))
    if not found:
        found.append(Finding("GPU_NONE", "no GPU: cores and memory are offered"))
    return tuple(found)


def _note(reading: GpuReading, on_bus: frozenset[str]) -> Iterator[Finding]:
    """What the drivers say of the whole machine."""
    note = reading.note
    if note == NO_ANSWER:
        yield Finding("GPU_SILENT", note, _REBOOT)
    elif note == UPDATED:
        yield Finding("GPU_DRIVER_MISMATCH", note, "reboot")
    elif note == NO_PERMISSION:
        yield Finding("GPU_NO_PERMISSION", note, "run the node as root, or open /dev/nvidia*")
    elif is_disagreement(note):
        yield Finding("GPU_COUNT_DIFFERS", note, _REBOOT)
    elif note and note not in (NO_DRIVER, NOT_LOADED, NO_GPU):
        yield Finding("GPU_UNREADABLE", note, _REBOOT)
    elif not reading.faults and _lacks(NVIDIA, reading, on_bus):
        yield Finding(
            "GPU_NO_DRIVER",
            f"the PCI bus has a GPU of NVIDIA's, and {note or 'its driver shows none'}",
            "install NVIDIA's driver and load it (modprobe nvidia), or keep the GPU for yourself: "
            "[offer] gpus = false",
        )
    if not reading.faults and _lacks(AMD, reading, on_bus):
        yield Finding(
            "GPU_NO_DRIVER",
            "the PCI bus has a GPU of AMD's that the kernel computes nothing on",
            "load amdgpu (modprobe amdgpu); GPUs that ROCm does not know stay away",
        )


def _lacks(maker: str, reading: GpuReading, on_bus: frozenset[str]) -> bool:
    return maker in on_bus and not any(gpu.vendor == maker for gpu in reading.gpus)


def _mend(node: str) -> str:
    if node.startswith("/dev/nvidia"):
        return f"chmod 666 {node}, and NVreg_DeviceFileMode=0666 for the module nvidia"
    return f"chgrp render {node}; chmod 660 {node} (udev's rules of ROCm do)"


def _is_old(driver: str) -> bool:
    numbers = driver.split(".")
    if not all(number.isascii() and number.isdigit() for number in numbers):
        return False
    return tuple(map(int, numbers)) < _DRIVER_MIN
