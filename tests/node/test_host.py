"""What a machine has beside its GPUs: this one, and files as other machines show them."""

import os
from pathlib import Path

import psutil
import pytest

from neurogrid_node.machine.host import read_host
from neurogrid_node.machine.processes import container_of

ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nHardware\t: Ampere(R) Altra(R) Processor\n"


def test_this_machine() -> None:
    host = read_host()
    assert 1 <= host.cpu_cores <= host.cpu_threads == psutil.cpu_count()
    assert host.numa_nodes >= 1
    assert 0 < host.memory_available_bytes <= host.memory_bytes
    assert all(0 <= disk.free_bytes <= disk.total_bytes for disk in host.disks)
    assert not any(disk.device.startswith("/dev/loop") for disk in host.disks)
    assert "lo" not in [link.name for link in host.links]


def test_what_other_machines_show(tmp_path: Path) -> None:
    for node in (0, 1):
        (tmp_path / f"sys/devices/system/node/node{node}").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(ARM)
    host = read_host(tmp_path / "sys", tmp_path / "proc")
    assert (host.cpu_model, host.numa_nodes) == ("Ampere(R) Altra(R) Processor", 2)


def test_what_is_not_told_is_unknown(tmp_path: Path) -> None:
    host = read_host(tmp_path, tmp_path)
    assert (host.cpu_model, host.numa_nodes) == ("", 1)
    assert {disk.kind for disk in host.disks} <= {"", "nvme"}


@pytest.mark.parametrize(
    "line", ["4:devices:/docker/{}", "0::/system.slice/docker-{}.scope", "0::/kubepods/pod7/{}"]
)
def test_a_processs_container_is_told_by_its_control_groups(tmp_path: Path, line: str) -> None:
    container_id = "0f" * 32
    (tmp_path / "7").mkdir()
    (tmp_path / "7/cgroup").write_text("12:pids:/\n" + line.format(container_id) + "\n")
    assert container_of(7, tmp_path) == container_id


def test_a_process_outside_of_containers_has_none() -> None:
    assert container_of(0) == ""
    assert container_of(2**30) == ""
    assert container_of(os.getpid(), Path("/nowhere")) == ""
