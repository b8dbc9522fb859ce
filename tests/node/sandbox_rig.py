"""A sandbox, real or fake, and how to ask it for jobs."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import httpx
import trio

from engine.bench import JOB_IMAGE, Bench, open_bench
from neurogrid_marketplace.addresses import IpAddress, Surroundings
from neurogrid_marketplace.execution import accept
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.lease import NodeLease, Ran
from neurogrid_marketplace.messages import Start
from neurogrid_node.container.image_cache import ImageCache
from neurogrid_node.container.image_disk import image_free_bytes
from neurogrid_node.container.image_store import ImageStore
from neurogrid_node.container.pulls import Pulls
from neurogrid_node.container.registry import Registries
from neurogrid_node.egress.jobs import JobNetworks
from neurogrid_node.files.artifacts import http_client
from neurogrid_node.files.weights import Weights
from neurogrid_node.gang.gangs import Gangs
from neurogrid_node.journal import Journal, JournalThread
from neurogrid_node.lease.checkpoints import Checkpoints
from neurogrid_node.lease.gpus import LeaseGpus
from neurogrid_node.lease.preparation import Preparation, Prepared
from neurogrid_node.lease.sandbox import Sandbox
from neurogrid_node.lease.scrubbing import Scrubber
from neurogrid_node.lease.watching import Watcher
from neurogrid_node.machine.inventory import Inventory
from neurogrid_node.machine.monitor import Monitor
from neurogrid_node.market.bidder import Policy
from neurogrid_node.market.reservations import Reservation
from neurogrid_node.money.earnings import Earnings
from neurogrid_node.settings.network import EgressConfig
from neurogrid_p2p.host import open_host
from neurogrid_p2p.relay_reservation import RelayReservations
from node.chain_world import now_ms
from node.fakes import FakeEarnings, FakeSandbox
from node.file_server import FileServer, file_server
from node.market import COORDINATOR, NEED, POLICY, award, start

MIB = 1 << 20
GIB = 1 << 30
HELD = Reservation(replace(NEED, memory_bytes=64 * MIB, disk_bytes=4 * MIB), (), None, 4 * MIB)
_PIDS = 64
_GANG_BYTES_PER_S = 10**8
# A shared machine can be slow; a job that takes this long here hangs.
_PATIENCE_S = 60


class Rig:
    """Jobs that sleep, on either."""

    sandbox: Sandbox

    def sleeps(self, runs_for_s: float, exit_code: int = 0) -> NodeLease:
        """A lease whose job sleeps, and then ends with a code."""
        return self.lease(f"sleep {runs_for_s}; exit {exit_code}")

    def lease(self, script: str = "true", **changes: object) -> NodeLease:
        """A lease whose job is a shell script; ``changes`` to its start message."""
        lease_id = f"lease_{os.urandom(16).hex()}"
        job = Job(JOB_IMAGE, ("sh", "-c", script))
        made = accept(award("0" * 64, lease_id=lease_id), COORDINATOR, 60_000, now_ms())
        return replace(made, start=start(**{"lease_id": lease_id, "job": job, **changes}))

    async def prepare(self, lease: NodeLease, *, resumed: bool = False) -> Prepared:
        with trio.fail_after(_PATIENCE_S):
            return await self.sandbox.prepare(lease, start_of(lease), resumed=resumed)

    async def watch(self, lease: NodeLease) -> Ran:
        with trio.fail_after(_PATIENCE_S):
            return await self.sandbox.watch(lease.lease_id, start_of(lease).job.service)

    async def run(self, lease: NodeLease) -> Ran:
        """From start to end."""
        await self.prepare(lease)
        return await self.watch(lease)


class FakeRig(Rig):
    """Over `FakeSandbox`."""

    def __init__(self) -> None:
        self.fake = FakeSandbox(now_ms)
        self.fake.prepare_s = 0.01
        self.sandbox = cast(Sandbox, self.fake)

    def sleeps(self, runs_for_s: float, exit_code: int = 0) -> NodeLease:
        self.fake.runs_for_s, self.fake.exit_code = runs_for_s, exit_code
        return self.lease()


async def nothing_to_do(uuids: tuple[str, ...]) -> str:
    """In place of overwriting memory, on a machine without any of a GPU's."""
    return ""


@dataclass
class RealRig(Rig):
    """Over the machine's engine, a real file server, and an escrow that is a flag.

    ``pinned``: hosts that jobs reach though they are on this machine.
    """

    bench: Bench
    http: httpx.AsyncClient
    server: FileServer
    journal: Journal
    directory: Path
    gangs: Gangs
    networks: JobNetworks
    pinned: dict[tuple[str, int], IpAddress]
    nursery: trio.Nursery
    earnings: FakeEarnings = field(default_factory=FakeEarnings)
    # What jobs are said to hold while they run, beside what their containers are given.
    watched: Reservation = HELD
    monitor: Monitor | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, policy: Policy = POLICY) -> None:
        """As a daemon that was just started has it."""
        engine, workspaces = self.bench.engine, self.bench.workspaces
        thread = JournalThread(self.journal)
        monitor = self.monitor or Monitor(
            None, Inventory(1, GIB, GIB), self.directory.parent, now_ms, frozenset
        )
        gpus = LeaseGpus(monitor, lambda _: self.watched, Scrubber(monitor, nothing_to_do).scrub)
        checkpoints = Checkpoints(
            engine=engine,
            workspaces=workspaces,
            http=self.http,
            own_hosts=lambda coordinator: ("127.0.0.1",),
        )
        images = ImageCache(ImageStore(self.directory.parent), engine, now_ms, limit_bytes=1 << 60)
        pulls = Pulls(
            engine,
            Registries(self.http, engine.info.architecture, lambda _: True),
            images,
            self.nursery,
            stall_timeout_s=5,
            free_bytes=lambda: image_free_bytes(engine.info.data_root),
        )
        preparation = Preparation(
            engine=engine,
            images=images,
            pulls=pulls,
            workspaces=workspaces,
            weights=Weights(self.directory.parent / "weights", 1 << 60),
            earnings=cast(Earnings, self.earnings),
            gangs=self.gangs,
            checkpoints=checkpoints,
            networks=self.networks,
            journal=thread,
            http=self.http,
            policy=policy,
            pids=_PIDS,
            held=lambda lease_id: HELD,
            devices=monitor.devices,
            own_hosts=lambda coordinator: ("127.0.0.1",),
            now_ms=now_ms,
        )
        self.sandbox = Sandbox(
            engine=engine,
            workspaces=workspaces,
            preparation=preparation,
            watcher=Watcher(engine, workspaces, self.gangs, self.networks, gpus, _PIDS),
            gangs=self.gangs,
            gpus=gpus,
            checkpoints=checkpoints,
            networks=self.networks,
            journal=thread,
            http=self.http,
            logs=self.directory,
            own_hosts=lambda coordinator: ("127.0.0.1",),
            now_ms=now_ms,
        )

    def lease(self, script: str = "true", **changes: object) -> NodeLease:
        lease = super().lease(script, **{"artifacts_url": self.server.url, **changes})
        self.journal.add(lease, HELD)
        return lease

    async def log(self, lease: NodeLease) -> str:
        return await self.sandbox.read_log(lease.lease_id, 0, 10 * MIB)


@asynccontextmanager
async def real_rig(directory: Path, *, url: str | None = None) -> AsyncIterator[RealRig]:
    """One with nothing of others in it, and nothing left behind; on the machine's engine, or that at ``url``."""
    logs = directory / "logs"
    logs.mkdir()
    journal = Journal(directory / "journal.db")
    try:
        async with (
            open_bench(directory, url=url) as bench,
            http_client() as http,
            file_server() as server,
            open_host(os.urandom(32)) as host,
            trio.open_nursery() as nursery,
        ):
            links = directory / "gangs"
            links.mkdir()
            gangs = Gangs(
                bench.engine,
                host,
                RelayReservations(host, ()),
                lambda coordinator: None,
                links,
                _GANG_BYTES_PER_S,
                nursery,
            )
            pinned: dict[tuple[str, int], IpAddress] = {}
            egress = directory / "egress"
            egress.mkdir()
            networks = JobNetworks(
                bench.engine,
                egress,
                EgressConfig().caps(),
                lambda: Surroundings(pinned=pinned),
                nursery,
            )
            yield RealRig(bench, http, server, journal, logs, gangs, networks, pinned, nursery)
            nursery.cancel_scope.cancel()
    finally:
        journal.close()


def start_of(lease: NodeLease) -> Start:
    assert lease.start is not None, "every lease of a rig has its start message"
    return lease.start
