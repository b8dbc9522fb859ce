"""What a running container has used so far, from the engine's statistics. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .cgroup_use import CgroupUse


@dataclass(frozen=True, slots=True)
class Usage:
    """Use since the container's start, as far as it was sampled.

    Attributes:
        cpu_ns: processor time of all its processes.
        memory_bytes: now, without file cache that the kernel would give back.
        memory_peak_bytes: the highest `memory_bytes` of all samples, or what the kernel counted (`beyond`) if that is more.
        pids: processes and threads now.
        pids_peak: likewise.
        disk_read_bytes, disk_written_bytes: from and to block devices; None where the kernel counts none.
    """

    cpu_ns: int = 0
    memory_bytes: int = 0
    memory_peak_bytes: int = 0
    pids: int = 0
    pids_peak: int = 0
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None


def add_sample(so_far: Usage, statistics: Mapping[str, Any]) -> Usage | None:
    """The usage after one more sample; None when the container is not running any more.

    Source: Engine API 1.41, ContainerStats; file cache as `docker stats` subtracts it
    (total_inactive_file with cgroup v1, inactive_file with v2).
    """
    memory = statistics.get("memory_stats") or {}
    cpu_ns = int(statistics.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0))
    if "usage" not in memory or cpu_ns == 0:
        return None
    details = memory.get("stats") or {}
    cache = int(details.get("total_inactive_file", details.get("inactive_file", 0)))
    # Read at slightly different times, the cache can exceed the total.
    memory_bytes = max(0, int(memory["usage"]) - cache)
    read, written = _moved_bytes(statistics.get("blkio_stats") or {})
    pids = int((statistics.get("pids_stats") or {}).get("current", 0))
    return Usage(
        cpu_ns=max(so_far.cpu_ns, cpu_ns),
        memory_bytes=memory_bytes,
        memory_peak_bytes=max(so_far.memory_peak_bytes, memory_bytes),
        pids=pids,
        pids_peak=max(so_far.pids_peak, pids),
        disk_read_bytes=read,
        disk_written_bytes=written,
    )


def beyond(sampled: Usage, counted: CgroupUse) -> Usage:
    """What was sampled, and what the kernel counted by itself: of each the more, for neither says too much."""
    return replace(
        sampled,
        cpu_ns=max(sampled.cpu_ns, counted.cpu_ns),
        memory_peak_bytes=max(sampled.memory_peak_bytes, counted.memory_peak_bytes),
    )


def _moved_bytes(blkio: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Bytes read and written, of all devices; the kernel lists none before the first."""
    moved = blkio.get("io_service_bytes_recursive")
    if moved is None:
        return None, None
    sums = {"read": 0, "write": 0}
    for entry in moved:
        # "Read" with cgroup v1, "read" with v2.
        name = str(entry.get("op", "")).lower()
        if name in sums:
            sums[name] += int(entry.get("value", 0))
    return sums["read"], sums["write"]
