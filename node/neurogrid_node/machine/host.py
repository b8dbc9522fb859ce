"""What this machine has beside its GPUs: processor, memory, disks, network. Blocks for a moment."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from .gpu_state import printable

_CORES_MAX: Final = 4096
_BYTES_MAX: Final = 1 << 60
_DISKS_MAX: Final = 64
_LINKS_MAX: Final = 64
_NUMA_MAX: Final = 1024
_MBIT_MAX: Final = 10_000_000
_CPUINFO_BYTES_MAX: Final = 1 << 20
# Of ARM, /proc/cpuinfo has no model's name but the maker's number for it.
_MODEL: Final = re.compile(r"^(?:model name|Model|Hardware|cpu model)\s*:\s*(.+)$", re.MULTILINE)
# What the kernel makes for itself, for containers and for virtual machines: nobody's cable.
_VIRTUAL_LINKS: Final = re.compile(r"(lo|veth.*|docker.*|br-.*|virbr.*|tun.*|tap.*|cni.*)\Z")
_PARTITION: Final = re.compile(r"(?:p(?=[0-9]+\Z))?[0-9]+\Z")


@dataclass(frozen=True, slots=True)
class Disk:
    """A filesystem on a disk.

    Attributes:
        kind: nvme, ssd, hdd; "" when it cannot be told.
        filesystem: such as "ext4".
    """

    mount: str
    device: str
    kind: str
    filesystem: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class NetworkLink:
    """A network interface with a cable, or what stands for one.

    Attributes:
        mbit_per_s: of the link in each direction; None when it is not told.
    """

    name: str
    is_up: bool
    mbit_per_s: int | None


@dataclass(frozen=True, slots=True)
class Host:
    """The machine.

    Attributes:
        cpu_model: as its maker names it; "" when unknown.
        cpu_cores: whole ones; cpu_threads: what they run at once.
        numa_nodes: places of memory, 1 where all is equally near.
        memory_available_bytes: without swapping anything out.
    """

    cpu_model: str
    cpu_cores: int
    cpu_threads: int
    numa_nodes: int
    memory_bytes: int
    memory_available_bytes: int
    disks: tuple[Disk, ...]
    links: tuple[NetworkLink, ...]


def read_host(sysfs: Path = Path("/sys"), proc: Path = Path("/proc")) -> Host:
    """The machine now.

    Args:
        sysfs, proc: where the kernel shows devices and itself.
    """
    memory = psutil.virtual_memory()
    threads = max(1, psutil.cpu_count() or 1)
    cores = psutil.cpu_count(logical=False) or threads
    return Host(
        cpu_model=cpu_model(proc),
        cpu_cores=_bounded(cores, _CORES_MAX),
        cpu_threads=_bounded(threads, _CORES_MAX),
        numa_nodes=_numa_nodes(sysfs),
        memory_bytes=_bounded(memory.total, _BYTES_MAX),
        memory_available_bytes=_bounded(memory.available, _BYTES_MAX),
        disks=_disks(sysfs),
        links=_links(),
    )


def cpu_model(proc: Path = Path("/proc")) -> str:
    """Of this machine's processors, as their maker names them; "" when unknown."""
    try:
        with (proc / "cpuinfo").open("rb") as file:
            text = file.read(_CPUINFO_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    found = _MODEL.search(text)
    return printable(" ".join(found.group(1).split())) if found else ""


def _numa_nodes(sysfs: Path) -> int:
    found = sum(1 for _ in (sysfs / "devices/system/node").glob("node[0-9]*"))
    return min(max(1, found), _NUMA_MAX)


def _disks(sysfs: Path) -> tuple[Disk, ...]:
    """One for each device: a device that is mounted at many places is one."""
    found: dict[str, Disk] = {}
    for part in psutil.disk_partitions(all=False):
        name = os.path.basename(os.path.realpath(part.device))
        # What we mount for jobs, and images of files, lie on the others.
        if name.startswith("loop") or part.device in found or len(found) >= _DISKS_MAX:
            continue
        try:
            space = os.statvfs(part.mountpoint)
        except OSError:
            continue
        found[part.device] = Disk(
            mount=printable(part.mountpoint),
            device=printable(part.device),
            kind=_disk_kind(name, sysfs),
            filesystem=printable(part.fstype),
            total_bytes=_bounded(space.f_blocks * space.f_frsize, _BYTES_MAX),
            free_bytes=_bounded(space.f_bavail * space.f_frsize, _BYTES_MAX),
        )
    return tuple(found.values())


def _disk_kind(name: str, sysfs: Path) -> str:
    if name.startswith("nvme"):
        return "nvme"
    for disk in (name, _PARTITION.sub("", name)):
        try:
            spins = (sysfs / "class/block" / disk / "queue/rotational").read_text().strip()
        except OSError:
            continue
        return {"0": "ssd", "1": "hdd"}.get(spins, "")
    return ""


def _links() -> tuple[NetworkLink, ...]:
    return tuple(
        NetworkLink(printable(name), state.isup, state.speed if _is_told(state.speed) else None)
        for name, state in sorted(psutil.net_if_stats().items())
        if not _VIRTUAL_LINKS.match(name)
    )[:_LINKS_MAX]


def _is_told(mbit_per_s: int) -> bool:
    # Drivers say "unknown" with 0, -1 or 65535.
    return 0 < mbit_per_s <= _MBIT_MAX and mbit_per_s != 65_535


def _bounded(value: int, most: int) -> int:
    return min(max(0, int(value)), most)
