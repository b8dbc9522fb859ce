"""Looks at the GPUs, at their nodes in /dev, and at NVIDIA's container toolkit."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import trio

from neurogrid_marketplace.resources import AMD, NVIDIA, Gpu

from ...machine.devices import DeviceGone, gpu_devices
from ...machine.gpu import GpuReader
from ...machine.gpu_state import GpuState
from ...machine.inventory import in_market_terms
from ...machine.toolkit import toolkit_says
from ..gpus import GpuFacts
from ..subject import Subject
from ..toolkit import ToolkitFacts

_PCI: Final = Path("/sys/bus/pci/devices")
_MAKERS: Final = {"0x10de": NVIDIA, "0x1002": AMD}
# PCI's class of display controllers, whose upper eight of 24 bits are 3.
_DISPLAY: Final = "0x03"


async def read_gpu_facts(
    subject: Subject, reader: GpuReader | None = None, pci: Path = _PCI, dev: Path = Path("/dev")
) -> GpuFacts:
    """The GPUs now. A driver that hangs is left to a thread, and whoever calls sets the time.

    Args:
        pci, dev: where the kernel shows its devices, and where their nodes are.
    """
    wanted = subject.config is None or subject.config.offer.gpus
    if not wanted:
        return GpuFacts(wanted=False, reading=None)
    given = reader or GpuReader()
    reading = await trio.to_thread.run_sync(given.read, abandon_on_cancel=True)
    if reader is None:
        await trio.to_thread.run_sync(given.close, abandon_on_cancel=True)
    closed, missing = _nodes(reading.gpus, dev)
    return GpuFacts(
        wanted=True,
        reading=reading,
        on_bus=_on_bus(pci),
        closed=closed,
        missing=missing,
        withheld=_withheld(subject.status),
    )


async def read_toolkit_facts(gpus: GpuFacts) -> ToolkitFacts:
    """NVIDIA's toolkit, by its own programs."""
    reading = gpus.reading
    needed = reading is not None and any(gpu.vendor == NVIDIA for gpu in reading.gpus)
    if not needed:
        return ToolkitFacts(needed=False, says=None)
    return ToolkitFacts(needed=True, says=await toolkit_says())


def _on_bus(pci: Path) -> frozenset[str]:
    found = set()
    for device in pci.glob("*"):
        try:
            maker = (device / "vendor").read_text().strip()
            kind = (device / "class").read_text().strip()
        except OSError:
            continue
        if maker in _MAKERS and kind.startswith(_DISPLAY):
            found.add(_MAKERS[maker])
    return frozenset(found)


def _nodes(
    gpus: Iterable[GpuState], dev: Path
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The nodes that a job could not open, each with why; and those that are not there."""
    closed: dict[str, str] = {}
    missing: dict[str, None] = {}
    for gpu in gpus:
        if gpu.vendor == AMD:
            held: tuple[Gpu, ...] = in_market_terms([gpu])
            try:
                gpu_devices(held, [gpu], dev)
            except DeviceGone as error:
                closed[gpu.device_nodes[-1]] = str(error)
            continue
        for node in gpu.device_nodes:
            try:
                found = os.stat(dev / Path(node).relative_to("/dev"))
            except OSError:
                missing[node] = None
                continue
            if not stat.S_ISCHR(found.st_mode):
                closed[node] = "it is no device"
            elif found.st_mode & 0o006 != 0o006:
                mode = stat.S_IMODE(found.st_mode)
                closed[node] = f"jobs run as nobody, and nobody may open it (mode {mode:04o})"
    return tuple(closed.items()), tuple(missing)


def _withheld(status: dict[str, Any] | None) -> tuple[str, ...]:
    if status is None:
        return ()
    return tuple(
        f"{each['uuid']}: {each['message']} ({each['code']})"
        for each in status["inventory"]["withheld"]
    )
