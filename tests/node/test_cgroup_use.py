"""What the kernel counts of a container, read to its end: both versions of cgroups, from files that a test wrote."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from neurogrid_node.container.cgroup_use import CgroupUse, follow
from neurogrid_node.container.usage import Usage, beyond

ID = "c0ffee"


@contextmanager
def a_process() -> Iterator[subprocess.Popen[bytes]]:
    """One that ends when its input does."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


V1 = """\
12:pids:/docker/c0ffee
9:memory:/docker/c0ffee
3:cpu,cpuacct:/docker/c0ffee
1:name=systemd:/docker/c0ffee
0::/docker/c0ffee
"""
V2 = "0::/system.slice/docker-c0ffee.scope\n"


@pytest.mark.parametrize("version", [1, 2])
async def test_it_is_read_while_the_container_runs_and_once_more_when_its_init_has_ended(
    tmp_path: Path, version: int
) -> None:
    cgroups = tmp_path / "cgroups"
    if version == 1:
        text, unit = V1, 1_000
        cpu = written(cgroups / "cpu,cpuacct/docker/c0ffee/cpuacct.usage", "7000\n")
        memory = cgroups / "memory/docker/c0ffee"
        peak = written(memory / "memory.max_usage_in_bytes", "5000000\n")
        written(memory / "memory.stat", "cache 9\ntotal_inactive_file 1000000\n")
    else:
        text, unit = V2, 1
        place = cgroups / "system.slice/docker-c0ffee.scope"
        cpu = written(place / "cpu.stat", "usage_usec 7\nuser_usec 3\n")
        peak = written(place / "memory.peak", "5000000\n")
        written(place / "memory.stat", "anon 5\ninactive_file 1000000\n")
    with a_process() as process:
        written(tmp_path / "proc" / str(process.pid) / "cgroup", text)
        readings = follow(process.pid, ID, proc=tmp_path / "proc", cgroups=cgroups)
        async with aclosing(readings):
            assert await anext(readings) == CgroupUse(7_000, 4_000_000)
            count = 900 * unit
            cpu.write_text(f"{count}\n" if version == 1 else f"usage_usec {count}\n")
            peak.write_text("8000000\n")
            process.communicate(b"\n")
            last = [reading async for reading in readings][-1]
            assert last == CgroupUse(900_000, 7_000_000)


async def test_where_it_cannot_be_seen_there_is_nothing(tmp_path: Path) -> None:
    async def found(pid: int, container_id: str = ID) -> list[CgroupUse]:
        readings = follow(pid, container_id, proc=tmp_path / "proc", cgroups=tmp_path)
        return [reading async for reading in readings]

    assert await found(0) == []
    with a_process() as process:
        assert await found(process.pid) == [], "no such file"
        for text in (V1, V2, "nonsense\n", ""):
            written(tmp_path / "proc" / str(process.pid) / "cgroup", text)
            assert await found(process.pid) == [], "no such cgroup"
        # A process of this number is here, but the container is on another machine.
        assert await found(process.pid, "another") == []


def test_of_what_was_sampled_and_what_was_counted_the_more_holds() -> None:
    sampled = Usage(cpu_ns=5, memory_bytes=3, memory_peak_bytes=9, pids=2)
    assert beyond(sampled, CgroupUse(7, 4)) == Usage(7, 3, 9, 2)
    assert beyond(Usage(), CgroupUse(7, 4)) == Usage(7, 0, 4)
    assert beyond(sampled, CgroupUse()) == sampled
