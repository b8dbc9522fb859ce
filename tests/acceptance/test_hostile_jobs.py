"""Jobs that mean harm, through the whole market: contained, named, paid for as said, cleaned up."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from acceptance.host_figures import (
    DiskFigures,
    Extremes,
    HostFigures,
    JobFigures,
    ProgramFigures,
    until_as_before,
    watching_host,
)
from acceptance.host_footprint import Made, loop_devices_below, mounts_below, watching
from acceptance.hostile_jobs import ATTACKS, NEEDS, SECRET_BEGINS
from acceptance.network import JOB_IMAGE, Devnet, running_devnet, until
from acceptance.own_disk import own_disk
from engine.own_dockerd import OwnDockerd, own_dockerd
from neurogrid.models import Task
from neurogrid_marketplace.messages import MAX_LOG_BYTES
from neurogrid_node.container.probe import PROBE_IMAGE

pytestmark = [pytest.mark.processes, pytest.mark.engine]

_SECRET = SECRET_BEGINS + "5ec2e7"
_KEEP = f"""
import os, time
for place in ("/outputs", "/tmp", "/dev/shm"):
    with open(place + "/secret", "w") as file: file.write("{_SECRET}")
time.sleep(600)
"""
# How often a devnet's client signs what a running job has earned.
_VOUCHER_INTERVAL_S = 10
# A node keeps 2 GiB of its disk for the system. The files have holes, so they take what is used.
_DISK_BYTES = 8 << 30
# What one job may have of processes and threads (node.toml).
_PIDS = 256
# What may be more than before.
# Blocks of folders that have had more names; a disk bomb has 30 MiB, a million files have thousands of inodes.
_NODES_DISK = DiskFigures(1 << 20, 0)
# Its book of containers is a database too.
_ENGINE_DISK = DiskFigures(4 << 20, 0)
# Allocators keep some of what 16 MiB of a job's log took on their way. Threads that wait for work end later, or, in
# the engine, never. Each node keeps up to 16 connections to the engine, and both ends of them are files. One memory
# bomb has 128 MiB, one fork bomb 256 threads.
_PROGRAMS = ProgramFigures(96 << 20, 32, 80)
# Other tests run beside. Within 15 s of a busy machine (load 15) these went up and down by 180 MiB, 80 MiB, 0, 175
# and 430; a market that somebody begins meanwhile stays longer. What a job has left would stay for good.
_HOST = HostFigures(2 << 30, 256 << 20, 32 << 20, 250, 1000)


@dataclass(frozen=True)
class Place:
    """Two nodes on an engine and disks of their own: what is left there, one of the jobs has left."""

    market: Devnet
    engine: OwnDockerd
    jobs: JobFigures

    def nodes_disk(self) -> DiskFigures:
        """Of the disk with both nodes' folders; their databases' room is not jobs'."""
        return DiskFigures.read(self.market.data / "nodes", but="*/*.db*")

    def engine_disk(self) -> DiskFigures:
        """Of the engine's disk."""
        return DiskFigures.read(self.engine.data, but="../dockerd.log")

    def programs(self) -> ProgramFigures:
        """Of the nodes and their engine."""
        return ProgramFigures.read(
            {node.pid for node in self.market.network.nodes} | self.engine.pids()
        )


@dataclass(frozen=True)
class Siege:
    """All attacks, under way at once, beside an honest tenant on each node.

    Attributes:
        tenants: by node, who has something to hide.
        host, nodes_disk, engine_disk, programs: before.
        extremes: of the host, since then.
    """

    attacks: dict[str, Task]
    tenants: dict[str, Task]
    made: Made
    host: HostFigures
    nodes_disk: DiskFigures
    engine_disk: DiskFigures
    programs: ProgramFigures
    extremes: Extremes


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    data = tmp_path_factory.mktemp("siege")
    jobs = JobFigures(f"/neurogrid-test-{os.getpid()}")
    with pytest.MonkeyPatch.context() as environment, ExitStack() as stack:
        # The path of a socket is at most 107 bytes, and pytest's folders are deep.
        short = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ng", dir="/tmp")))
        stack.callback(jobs.remove)
        stack.enter_context(own_disk(short / "d", data / "engine.img", _DISK_BYTES))
        engine = stack.enter_context(own_dockerd(short / "d" / "e", *jobs.engine_flags))
        engine.take_images(JOB_IMAGE, PROBE_IMAGE)
        environment.setenv("DOCKER_HOST", engine.url)
        stack.enter_context(own_disk(data / "D" / "nodes", data / "nodes.img", _DISK_BYTES))
        market = stack.enter_context(running_devnet(data / "D", nodes=2))
        yield Place(market, engine, jobs)


@pytest.fixture(scope="module")
def devnet(place: Place) -> Devnet:
    """In the place of the one that other tests share."""
    return place.market


@pytest.fixture(scope="module")
def siege(place: Place, devnet: Devnet) -> Iterator[Siege]:
    node_ids = {node.peer_id for node in devnet.network.nodes}
    # What a node has to have for its first job, it keeps.
    for node_id in node_ids:
        job = devnet.submit("true", avoid={"nodes": sorted(node_ids - {node_id})})
        assert devnet.until_settled(job.id).status == "completed"
    devnet.until_idle()
    before = (HostFigures.read(), place.nodes_disk(), place.engine_disk(), place.programs())
    with (
        watching(node_ids, place.engine.url, place.engine.data) as made,
        watching_host(place.jobs) as extremes,
    ):
        tenants = {}
        for node_id in sorted(node_ids):
            tenant = devnet.submit(
                "python3",
                "-c",
                _KEEP,
                env={"SECRET": _SECRET},
                resource_requirements=NEEDS,
                timeout_seconds=600,
                avoid={"nodes": sorted(node_ids - {node_id})},
            )
            tenants[node_id] = devnet.until_phase(tenant.id, "running")
        port = urlsplit(devnet.network.api_url).port
        attacks = {
            name: devnet.submit(
                "python3",
                "-c",
                attack.program,
                env={"API_PORT": str(port)},
                resource_requirements=NEEDS,
                **attack.arguments,
            )
            for name, attack in ATTACKS.items()
        }
        yield Siege(attacks, tenants, made, *before, extremes)
        for tenant in tenants.values():
            if not devnet.client.tasks.get(tenant.id).ended:
                devnet.client.tasks.cancel(tenant.id)


@pytest.mark.parametrize("name", ATTACKS)
def test_it_is_contained_and_named(devnet: Devnet, siege: Siege, name: str) -> None:
    attack = ATTACKS[name]
    task = devnet.until_settled(siege.attacks[name].id)
    log = "".join(devnet.client.tasks.all_logs(task.id))
    said = (task.error.code if task.error else None, log[-2000:])
    assert said[0] == attack.code, said
    if attack.tries:
        assert log == f"tried {attack.tries}\n"
    assert len(log.encode()) <= MAX_LOG_BYTES
    # A busy node may answer its award too late, and another gets it; that one never began.
    begun = [lease for lease in task.leases if lease.started_after_seconds is not None]
    assert len(begun) == 1, "nobody else has to bear it too"
    if attack.code:
        assert task.started_at is not None
        assert task.completed_at is not None
        ran_s = (task.completed_at - task.started_at).total_seconds()
        # On a busy machine: what was signed while it ran stays paid, whatever becomes of it.
        assert task.cost == 0 or ran_s > _VOUCHER_INTERVAL_S
        assert task.error is not None
        assert task.error.advice


def test_a_bomb_among_the_outputs_is_kept_as_it_is(
    devnet: Devnet, siege: Siege, tmp_path: Path
) -> None:
    task = devnet.until_settled(siege.attacks["zip bomb"].id)
    (bomb,) = devnet.client.tasks.download(task.id, tmp_path)
    assert bomb.stat().st_size < 1 << 20, "nobody has unpacked it"


def test_the_other_tenants_have_noticed_nothing(devnet: Devnet, siege: Siege) -> None:
    for attack in siege.attacks.values():
        devnet.until_settled(attack.id)
    for node_id, tenant in siege.tenants.items():
        task = devnet.client.tasks.get(tenant.id)
        assert (task.phase, task.node_id) == ("running", node_id)
        devnet.client.tasks.cancel(tenant.id)
        task = devnet.until_settled(tenant.id)
        assert task.status == "cancelled"
        assert len(task.leases) == len(tenant.leases), "it went on where it was"


def test_nothing_of_them_is_left_on_the_machine(devnet: Devnet, siege: Siege) -> None:
    for task in (*siege.attacks.values(), *siege.tenants.values()):
        devnet.until_settled(task.id)
    devnet.until_idle()
    assert len(siege.made.container_ids) >= len(siege.attacks) + len(siege.tenants)
    nodes = devnet.data / "nodes"
    workspaces = [path for path in nodes.glob("*/workspaces") if path.is_dir()]
    assert len(workspaces) == len(devnet.network.nodes)
    until(lambda: not siege.made.processes(), "no process of theirs is left")
    until(lambda: not siege.made.control_groups(), "their memory is the host's again")
    until(lambda: not siege.made.folders(), "the engine has forgotten them")
    until(lambda: not mounts_below(nodes), "their disks are not mounted")
    until(lambda: not loop_devices_below(nodes), "their disks are no devices of the host")
    until(
        lambda: not [path for place in workspaces for path in place.glob("lease_*")],
        "their files are gone",
    )
    until(lambda: not [*nodes.glob("*/logs/*")], "their logs are gone")


def test_the_host_kept_enough_for_itself(devnet: Devnet, place: Place, siege: Siege) -> None:
    for attack in siege.attacks.values():
        devnet.until_settled(attack.id)
    cores = sum(node.cpu_cores for node in devnet.client.nodes.list().nodes)
    jobs_max = int(cores / NEEDS["cpu_cores"])
    memory_max_bytes = int(jobs_max * NEEDS["ram_gb"] * (1 << 30))
    assert 0 < place.jobs.peak_bytes <= memory_max_bytes
    seen = siege.extremes
    assert seen.looks > 100
    assert _PIDS < seen.job_threads <= jobs_max * _PIDS, "fork bombs were at it"
    assert seen.taken_bytes - siege.host.taken_bytes < memory_max_bytes + _HOST.taken_bytes
    assert seen.threads - siege.host.threads < jobs_max * _PIDS + _HOST.threads
    assert seen.threads < int(Path("/proc/sys/kernel/pid_max").read_text()) / 2


def test_the_host_has_what_it_had_before(devnet: Devnet, place: Place, siege: Siege) -> None:
    for task in (*siege.attacks.values(), *siege.tenants.values()):
        devnet.until_settled(task.id)
    devnet.until_idle()
    until(lambda: place.jobs.threads == 0, "no process of a job is left")
    until(lambda: place.jobs.held_bytes == 0, "no memory of a job is left")
    until_as_before(place.nodes_disk, siege.nodes_disk, _NODES_DISK)
    until_as_before(place.engine_disk, siege.engine_disk, _ENGINE_DISK)
    until_as_before(place.programs, siege.programs, _PROGRAMS)
    until_as_before(HostFigures.read, siege.host, _HOST)
