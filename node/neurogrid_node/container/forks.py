"""Whether a container wanted more processes than it may have: the kernel's own count of refused forks.

What a program does when a fork is refused is its own affair; mostly it ends at once with an error
of its own, and its cgroup is removed 20 to 100 ms later (measured). Usage, sampled once a second,
misses that, and nothing outlives the cgroup. So the kernel's counter is read while there is one.
(Polling it for changes does not wake us up under cgroup v1.)
"""

import os
from pathlib import Path
from typing import Final

import trio

# 50 reads a second cost 0.2 % of a core; the shortest time seen between refusal and removal is 20 ms.
_LOOK_INTERVAL_S: Final = 0.02
_CGROUPS: Final = Path("/sys/fs/cgroup")
_EVENTS_BYTES_MAX: Final = 256


async def fork_refused(pid: int, *, proc: Path = Path("/proc"), cgroups: Path = _CGROUPS) -> bool:
    """Wait until a process of this container's cgroup was refused a fork.

    Args:
        pid: of the container's init on the host.
        proc, cgroups: where the kernel shows its processes and cgroups.

    Returns: True then; False once the cgroup is gone, or at once where it cannot be read.
    """
    try:
        descriptor = os.open(_events_file(pid, proc, cgroups), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        while True:
            if _refusals(os.pread(descriptor, _EVENTS_BYTES_MAX, 0)):
                return True
            await trio.sleep(_LOOK_INTERVAL_S)
    except OSError:  # ENODEV: the cgroup is gone
        return False
    finally:
        os.close(descriptor)


def _events_file(pid: int, proc: Path, cgroups: Path) -> Path:
    """``pids.events`` of a process's cgroup. Source: man 7 cgroups, /proc/[pid]/cgroup.

    Raises:
        FileNotFoundError: there is no such process, or it is under no pids controller.
    """
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("pids", ""):
            # Version 1 mounts each controller; version 2 has one tree and names no controller.
            file = cgroups / controllers / path.lstrip("/") / "pids.events"
            if file.exists():
                return file
    raise FileNotFoundError(f"process {pid} is under no pids controller")


def _refusals(events: bytes) -> int:
    """The number in the line ``max 3``."""
    for line in events.splitlines():
        name, _, number = line.partition(b" ")
        if name == b"max" and number.isdigit():
            return int(number)
    return 0
