"""What a container has used by its kernel's own count, to its end: processor time, and the most memory at once.

The engine is asked once a second, and 20.10 answers up to a second later: it knows nothing of a job that ended before, and
not the last of any. The kernel counts everything, until the cgroup is removed, 20 to 100 ms after the container's end
(measured). So its files are opened while it runs, and read when its init has ended.
"""

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

_CGROUPS: Final = Path("/sys/fs/cgroup")
_FILE_BYTES_MAX: Final = 16 * 1024
# In case we are late when init ends, it is read soon after the start, and then ever less often.
_FIRST_LOOK_S: Final = 0.02
_LOOK_INTERVAL_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class CgroupUse:
    """Since the container's start.

    Attributes:
        cpu_ns: processor time of all its processes.
        memory_peak_bytes: the most at once, less the file cache that there is now and that the kernel would give back: never more
            than was needed, and less where some of that cache came later. 0: the kernel does not tell (v2 before Linux 5.19).
    """

    cpu_ns: int = 0
    memory_peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a cgroup says it, and how. Source: Documentation/admin-guide/cgroup-v1/ and cgroup-v2.rst.

    Attributes:
        cpu_name: of the line with the time; b"": the file has nothing else. cpu_unit_ns: of that.
        cache_name: of the line with the file cache that would be given back.
    """

    cpu: Path
    cpu_name: bytes
    cpu_unit_ns: int
    peak: Path
    memory: Path
    cache_name: bytes


async def follow(
    pid: int, container_id: str, *, proc: Path = Path("/proc"), cgroups: Path = _CGROUPS
) -> AsyncGenerator[CgroupUse]:
    """The use of a container until its init ends, and then; nothing where it can't be seen from here.

    Args:
        pid: of its init on the host.
        container_id: its cgroup is named after; a process of any other is of another machine.
        proc, cgroups: where the kernel shows its processes and cgroups.
    """
    try:
        ended = os.pidfd_open(pid)
    except OSError:
        return
    try:
        text = (proc / str(pid) / "cgroup").read_text()
        if container_id not in text:
            return
        with _reading(_files_of(text, cgroups)) as read:
            pause_s, is_over = _FIRST_LOOK_S, False
            while not is_over:
                with trio.move_on_after(pause_s):
                    await trio.lowlevel.wait_readable(ended)
                    is_over = True
                yield read()
                pause_s = min(2 * pause_s, _LOOK_INTERVAL_MAX_S)
    except (OSError, ValueError, KeyError):
        # The cgroup is gone (ENODEV), or this kernel or its mounts show something else: the engine's samples stand.
        return
    finally:
        os.close(ended)


@contextmanager
def _reading(files: _Files) -> Iterator[Callable[[], CgroupUse]]:
    """What reads a cgroup, also when all of its processes have ended.

    Raises:
        OSError: it can't be seen from here.
    """
    with ExitStack() as stack:

        def opened(path: Path) -> int:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            return descriptor

        cpu, memory = opened(files.cpu), opened(files.memory)
        peak = opened(files.peak) if files.peak.exists() else None

        def read() -> CgroupUse:
            cpu_text = _text(cpu)
            time = int(cpu_text) if not files.cpu_name else _line(cpu_text, files.cpu_name)
            most = 0 if peak is None else int(_text(peak))
            cache = _line(_text(memory), files.cache_name)
            return CgroupUse(time * files.cpu_unit_ns, max(0, most - cache))

        yield read


def _files_of(text: str, cgroups: Path) -> _Files:
    """Of what ``/proc/[pid]/cgroup`` says.

    Raises:
        KeyError, ValueError: it says something else.
    """
    places: dict[str, Path] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        place = cgroups / controllers / path.lstrip("/")
        places |= dict.fromkeys(controllers.split(","), place)
    if "memory" in places:
        memory = places["memory"]
        return _Files(
            cpu=places["cpuacct"] / "cpuacct.usage",
            cpu_name=b"",
            cpu_unit_ns=1,
            peak=memory / "memory.max_usage_in_bytes",
            memory=memory / "memory.stat",
            cache_name=b"total_inactive_file",
        )
    # Version 2 has one tree, and names no controller.
    one = places[""]
    return _Files(
        cpu=one / "cpu.stat",
        cpu_name=b"usage_usec",
        cpu_unit_ns=1_000,
        peak=one / "memory.peak",
        memory=one / "memory.stat",
        cache_name=b"inactive_file",
    )


def _text(descriptor: int) -> bytes:
    return os.pread(descriptor, _FILE_BYTES_MAX, 0)


def _line(text: bytes, name: bytes) -> int:
    """The number in the line ``name 3``; 0 without such a line."""
    for line in text.splitlines():
        found, _, number = line.partition(b" ")
        if found == name:
            return int(number)
    return 0
