"""What the whole host has left: memory, processes, files, and the blocks and inodes of a disk."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import psutil

from acceptance.network import PATIENCE_S

_LOOK_INTERVAL_S = 0.05


@dataclass(frozen=True, slots=True)
class HostFigures:
    """What is taken of the whole host, at one moment, by whomever.

    Attributes:
        taken_bytes: of memory, so that no program could get it (all but MemAvailable).
        ownerless_bytes: of that, what no living program holds: shared memory, files in memory, the
            kernel's own. Programs of others come and go beside a test; what a job left behind would stay here.
        shared_bytes: shared memory and files in memory alone.
        threads, open_files: of all processes.
    """

    taken_bytes: int
    ownerless_bytes: int
    shared_bytes: int
    threads: int
    open_files: int

    @classmethod
    def read(cls) -> "HostFigures":
        """As it is now."""
        memory = _kib_by_name(Path("/proc/meminfo"))
        taken = memory["MemTotal"] - memory["MemAvailable"]
        held = sum(memory[name] for name in ("AnonPages", "KernelStack", "PageTables", "Percpu"))
        return cls(
            taken << 10,
            (taken - held) << 10,
            memory["Shmem"] << 10,
            int(Path("/proc/loadavg").read_text().split()[3].split("/")[1]),
            int(Path("/proc/sys/fs/file-nr").read_text().split()[0]),
        )

    def since(self, before: "HostFigures") -> "HostFigures":
        """How much more of each there is."""
        names = [field.name for field in fields(self)]
        return HostFigures(*(getattr(self, name) - getattr(before, name) for name in names))


@dataclass(frozen=True, slots=True)
class DiskFigures:
    """What is taken of one filesystem."""

    taken_bytes: int
    inodes: int

    @classmethod
    def read(cls, place: Path, *, but: str) -> "DiskFigures":
        """As it is now.

        Args:
            but: files whose room does not count, as a pattern below ``place``. They are counted as files.
        """
        os.sync()
        found = os.statvfs(place)
        taken_bytes = (found.f_blocks - found.f_bfree) * found.f_frsize
        taken_bytes -= sum(file.lstat().st_blocks * 512 for file in place.glob(but))
        return cls(taken_bytes, found.f_files - found.f_ffree)


@dataclass(frozen=True, slots=True)
class ProgramFigures:
    """What some programs hold, together."""

    private_bytes: int
    threads: int
    open_files: int

    @classmethod
    def read(cls, pids: set[int]) -> "ProgramFigures":
        """As it is now."""
        programs = [psutil.Process(pid) for pid in pids]
        return cls(
            sum(program.memory_full_info().uss for program in programs),
            sum(program.num_threads() for program in programs),
            sum(program.num_fds() for program in programs),
        )


Figures = TypeVar("Figures", HostFigures, DiskFigures, ProgramFigures)


def until_as_before(read: Callable[[], Figures], before: Figures, tolerance: Figures) -> None:
    """Wait until no figure is larger than before by more than its tolerance."""
    deadline_s = time.monotonic() + PATIENCE_S
    while more := _more(read(), before, tolerance):
        assert time.monotonic() < deadline_s, (
            f"more than before, in {type(before).__name__}: {more}"
        )
        time.sleep(_LOOK_INTERVAL_S)


def _more(now: Any, before: Any, tolerance: Any) -> dict[str, int]:
    more = {
        name: getattr(now, name) - getattr(before, name)
        for name in (field.name for field in fields(before))
    }
    return {name: number for name, number in more.items() if number > getattr(tolerance, name)}


class JobFigures:
    """Of all containers of an engine whose control groups lie below one, by the kernel's count.

    The group counts what they hold and what they have left behind.
    """

    def __init__(self, parent: str) -> None:
        """
        Args:
            parent: the control group, such as "/jobs-1"; the engine makes it with its first container.
        """
        self._parent = parent.lstrip("/")

    @property
    def engine_flags(self) -> tuple[str, ...]:
        """Of the dockerd whose containers these are."""
        # Where systemd owns the groups, a path would have to be one of its slices.
        return (f"--cgroup-parent=/{self._parent}", "--exec-opt=native.cgroupdriver=cgroupfs")

    @property
    def held_bytes(self) -> int:
        """Memory of programs, shared memory and files in memory; without what is read again from disk."""
        folder = self._folder("memory")
        counted = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        # Version 1 names the group's own without "total_", version 2 has the sums alone.
        names = ("total_rss", "total_shmem") if "total_rss" in counted else ("anon", "shmem")
        return sum(int(counted[name]) for name in names)

    @property
    def peak_bytes(self) -> int:
        """The most memory that they had at a time, with what they had read from disk."""
        folder = self._folder("memory")
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            with suppress(FileNotFoundError):
                return int((folder / name).read_text())
        raise AssertionError(f"{folder} counts no peak")

    @property
    def threads(self) -> int:
        """Processes and threads."""
        return int((self._folder("pids") / "pids.current").read_text())

    def remove(self) -> None:
        """The control groups themselves, which the engine leaves."""
        for folder in Path("/sys/fs/cgroup").glob(f"*/{self._parent}"):
            folder.rmdir()
        with suppress(FileNotFoundError):
            (Path("/sys/fs/cgroup") / self._parent).rmdir()

    def _folder(self, controller: str) -> Path:
        for folder in (Path("/sys/fs/cgroup") / controller, Path("/sys/fs/cgroup")):
            if (folder / self._parent).is_dir():
                return folder / self._parent
        raise AssertionError(f"no control group {self._parent} of {controller}")


@dataclass(slots=True)
class Extremes:
    """The most that was seen while `watching_host` was in its block.

    Attributes:
        looks: how often it was looked.
    """

    taken_bytes: int = 0
    threads: int = 0
    job_threads: int = 0
    looks: int = 0


@contextmanager
def watching_host(jobs: JobFigures) -> Iterator[Extremes]:
    """Look at the host again and again."""
    seen = Extremes()
    enough = threading.Event()

    def look() -> None:
        while not enough.wait(_LOOK_INTERVAL_S):
            now = HostFigures.read()
            seen.taken_bytes = max(seen.taken_bytes, now.taken_bytes)
            seen.threads = max(seen.threads, now.threads)
            seen.job_threads = max(seen.job_threads, jobs.threads)
            seen.looks += 1

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield seen
    finally:
        enough.set()
        looker.join()


def _kib_by_name(file: Path) -> dict[str, int]:
    return {
        name: int(rest.split()[0])
        for name, rest in (line.split(":") for line in file.read_text().splitlines())
    }
