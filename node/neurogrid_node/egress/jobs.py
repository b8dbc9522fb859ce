"""The network of all jobs on this node that ask for one: links, proxies, and what each job did.

A job's link is a container beside it (`profile.py`); its connections are taken by a proxy of its own
(`proxy.py`). A daemon that restarts finds the links as they were. What was counted is in a file beside the
link's socket, so that a restart neither forgets nor allows anything anew.
"""

import json
import logging
import resource
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import trio

from neurogrid_marketplace.addresses import Surroundings
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.network import Network, NetworkUse

from ..container.job_engine import JobEngine
from ..container.links import Links, listening, obstacle
from .caps import Caps
from .dialling import Dialler, Lookup, look_up
from .flow import Flow
from .link import EgressLink
from .profile import LINK_IMAGE, LINK_NAME_PREFIX, egress_link
from .proxy import Proxy
from .record import Record

_log = logging.getLogger(__name__)

_RETRY_S = 1.0
# What moved since the last time is not counted when the daemon is killed.
_SAVE_S = 5.0
_SOCKETS = "link"
_USE = "use.json"
# Each connection has two files; the rest of what we may open is for everything else.
_FILES_SHARE = 4
_CONNECTIONS_MAX = 4096
_PROBE = Network(("probe.invalid",))


@dataclass(slots=True, eq=False)
class _Job:
    """One lease's network, while this process lives."""

    link: EgressLink
    record: Record
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)


class JobNetworks:
    """The networks of all jobs of this node; links outlive it."""

    def __init__(
        self,
        engine: JobEngine,
        directory: Path,
        caps: Caps,
        surroundings: Callable[[], Surroundings],
        nursery: trio.Nursery,
        lookup: Lookup = look_up,
    ) -> None:
        """
        Args:
            directory: for the sockets of links and what is counted; nobody's but ours.
            caps: of each job.
            nursery: where the proxies live.
        """
        self._engine = engine
        self._links = Links(engine, LINK_IMAGE, LINK_NAME_PREFIX, directory)
        self._caps = caps
        self._surroundings = surroundings
        self._nursery = nursery
        self._lookup = lookup
        self._slots = trio.Semaphore(_connections_at_once())
        self._jobs: dict[str, _Job] = {}

    async def join(self, lease_id: str, network: Network, network_of: str = "") -> str:
        """Bring a lease's network up; the id of the container whose network the job joins.

        Args:
            network_of: a container whose network it already has, which it then keeps.

        Raises:
            EngineError, OSError: it cannot be had; `LinkFailed` says what its link said.
        """
        await self.resume(lease_id, network)
        spec = egress_link(
            lease_id,
            self._engine.node_id,
            await self._links.image_id(),
            (self._links.folder_of(lease_id) / _SOCKETS).absolute(),
            network_of,
        )
        container_id = await self._links.start(spec, self._jobs[lease_id].link.until_connected)
        return network_of or container_id

    async def resume(self, lease_id: str, network: Network) -> None:
        """Serve a lease's job, whether or not its link is there yet. A second call does nothing.

        Raises:
            OSError: there is no socket to be had.
        """
        if lease_id not in self._jobs:
            await self._nursery.start(self._serve, lease_id, network)

    async def restore(self, lease: NodeLease) -> None:
        """Take up a lease's network again after a restart of ours, if it has any."""
        if lease.start is None or lease.start.job.network is None:
            return
        try:
            await self.resume(lease.lease_id, lease.start.job.network)
        except OSError as error:
            # Its job runs on, cut off; other leases are well.
            _log.error("lease %s has no network: %s", lease.lease_id, error)

    async def until_lost(self, lease_id: str) -> None:
        """Wait for the end of a lease's link; for ever where there is none."""
        if lease_id not in self._jobs:
            await trio.sleep_forever()
        await self._links.until_lost(lease_id)

    def use(self, lease_id: str) -> NetworkUse | None:
        """What a lease's job did so far; None if it has no network."""
        job = self._jobs.get(lease_id)
        return job.record.use() if job else None

    async def leave(self, lease_id: str) -> None:
        """Remove everything of a lease, after its job; one without a network has nothing.

        Raises:
            EngineError, OSError: something is still there; ask again.
        """
        job = self._jobs.get(lease_id)
        if job is not None:
            job.scope.cancel()
            await job.ended.wait()
        await self._links.remove(lease_id)

    async def sweep(self, keep: set[str]) -> None:
        """At start: remove what is of no lease.

        Raises:
            EngineError: the engine is away.
        """
        await self._links.sweep(keep)

    async def obstacle(self) -> str:
        """Why no job can have a network here, or "": a link is tried. Takes half a second."""
        return await obstacle(lambda lease_id: self.join(lease_id, _PROBE), self.leave)

    async def _serve(
        self, lease_id: str, network: Network, task_status: trio.TaskStatus[None]
    ) -> None:
        directory = self._links.folder_of(lease_id)
        directory.mkdir(exist_ok=True)
        record = Record(_read_use(directory / _USE))
        flow = Flow(self._caps, record)
        dialler = Dialler(self._surroundings, self._lookup)
        proxy = Proxy(lease_id, network, dialler, flow, self._slots)
        with ExitStack() as stack:
            link = EgressLink(stack.enter_context(listening(directory / _SOCKETS)))
            job = self._jobs[lease_id] = _Job(link, record)
            task_status.started()
            try:
                with job.scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(_keep_use, record, directory / _USE)
                        nursery.start_soon(_run_on, link, proxy, lease_id)
            finally:
                del self._jobs[lease_id]
                job.ended.set()


async def _run_on(link: EgressLink, proxy: Proxy, lease_id: str) -> None:
    while True:
        try:
            await link.run(proxy.run)
        except Exception:  # noqa: BLE001 - one job's boundary: a defect must not end the others
            _log.exception("lease %s: its proxy starts over", lease_id)
        await trio.sleep(_RETRY_S)


async def _keep_use(record: Record, path: Path) -> None:
    """Write down what is counted while it changes, and at the end."""
    saved = record.use()
    try:
        while True:
            await trio.sleep(_SAVE_S)
            saved = _saved(record.use(), saved, path)
    finally:
        _saved(record.use(), saved, path)


def _saved(use: NetworkUse, before: NetworkUse, path: Path) -> NetworkUse:
    """What the file says now."""
    if use == before:
        return before
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(plain(use)))
        partial.replace(path)
    except OSError as error:
        _log.warning("what a job did with its network is not written down: %s", error)
        return before
    return use


def _read_use(path: Path) -> NetworkUse:
    try:
        return msgspec.json.decode(path.read_bytes(), type=NetworkUse)
    except FileNotFoundError:
        return NetworkUse()
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s: %s; counted from 0", path, error)
        return NetworkUse()


def _connections_at_once() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _CONNECTIONS_MAX
    return min(_CONNECTIONS_MAX, max(1, soft // _FILES_SHARE))
