"""A Docker swarm as a `JobEngine`: each job a service of one task on the machine that was chosen for it.

What is asked is asked of a manager, which this machine has to be. The swarm is looked at every second as a
whole, however many jobs wait for their ends; who waits for a start or an end that it has asked for itself
looks sooner. Images are pulled here first, by the rules that hold here, and then by each machine.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import trio

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.docker import DockerClient
from neurogrid_node.container.engine import Engine
from neurogrid_node.container.errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineLost,
    EngineRefused,
    EngineUnavailable,
)
from neurogrid_node.container.followed_log import follow
from neurogrid_node.container.job_engine import LOG_BYTES_MAX, Abilities
from neurogrid_node.container.link_profile import LinkSpec
from neurogrid_node.container.log_cursor import LOG_START, LogCursor
from neurogrid_node.container.logs import LogChunk
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.pull import PullProgress
from neurogrid_node.container.spec import (
    CONTAINER_NAME_PREFIX,
    LABEL_LEASE,
    ContainerSpec,
    ImageInfo,
)
from neurogrid_node.container.usage import Usage
from neurogrid_node.container.user_namespaces import ROOT
from neurogrid_node.container.views import ContainerView, LeaseContainer
from neurogrid_node.fleet.machines import Machine
from neurogrid_node.swarm.machines import ADVICE, machines
from neurogrid_node.swarm.manager import Json, Look, Manager, essence
from neurogrid_node.swarm.service import (
    GRACE_S,
    LABEL_ENDED,
    LABEL_IMAGE,
    LABEL_STARTED,
    LABEL_STOPPED,
    NOT_BY_THIS_ENGINE,
    check,
    labels_of,
    replicas,
    service_body,
    service_report,
    told_to_end,
    told_to_start,
    with_labels,
)
from neurogrid_node.swarm.views import (
    Member,
    ended_label,
    is_over,
    job_view,
    no_place,
    start_problem,
    waiting_words,
)

_ABILITIES: Final = Abilities(
    gpus=False, freeze=False, links=False, hard_disk=False, usage=False, oom=False, logins=False
)
_LOOK_INTERVAL_S: Final = 1.0
# For what we have asked for ourselves. A task that was told to end is forgotten a quarter of a second after.
_SOON_S: Final = 0.05
# A swarm says "no suitable node" also while it is just making up its mind.
_PLACE_PATIENCE_S: Final = 20.0
# From the end of a task's grace to its last state: a kill, and a heartbeat of its machine.
_END_PATIENCE_S: Final = 30.0


@asynccontextmanager
async def connect_swarm(
    node_id: str,
    *,
    url: str | None = None,
    grace_s: float = 30,
    look_interval_s: float = _LOOK_INTERVAL_S,
) -> AsyncIterator["SwarmEngine"]:
    """Connect to the swarm that this machine manages; leaving closes the connection, jobs run on.

    Args:
        node_id, url, grace_s: see `connect_engine`.
        look_interval_s: from one look at the swarm to the next.

    Raises:
        EngineUnavailable: nothing answers, or it is no manager; the message says what to do.
    """
    client = await DockerClient.connect(url)
    try:
        if not (client.info.get("Swarm") or {}).get("ControlAvailable"):
            raise EngineUnavailable(
                "this machine manages no swarm: run `docker swarm init` here, or run the node on a manager"
            )
        async with trio.open_nursery() as nursery:
            engine = SwarmEngine(
                client, node_id, nursery, grace_s=grace_s, look_interval_s=look_interval_s
            )
            await nursery.start(engine.run)
            yield engine
            nursery.cancel_scope.cancel()
    finally:
        client.close()


class SwarmEngine:
    """See the module. Made by `connect_swarm`, which keeps `run` running."""

    def __init__(
        self,
        client: DockerClient,
        node_id: str,
        nursery: trio.Nursery,
        *,
        grace_s: float,
        look_interval_s: float,
    ) -> None:
        self.node_id = node_id
        self.abilities = _ABILITIES
        self.advice = ADVICE
        self.execs = None
        self._here = Engine(client, node_id, grace_s=grace_s)
        # Which runtime jobs run in, and whom it takes their root for, is the other machines' affair.
        self.info = replace(self._here.info, job_runtimes=(), root_ids=ROOT)
        self._client = client
        self.manager = Manager(client, node_id)
        self._nursery = nursery
        self._api = client.api
        self._grace_s = grace_s
        self._look_interval_s = look_interval_s
        self._look = Look({}, {}, {})
        self._looked = trio.Event()
        self._is_answering = False
        self.connections = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at the swarm for ever; reports itself started after the first look."""
        while True:
            try:
                self._look = await self.manager.look()
                self.connections += not self._is_answering
                self._is_answering = True
            except EngineError:
                self._is_answering = False
            else:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
            self._looked.set()
            self._looked = trio.Event()
            await trio.sleep(self._look_interval_s)

    async def trial_image(self, reference: str) -> ImageInfo | None:
        """As this machine has it."""
        return await self.image(reference)

    async def machines(self) -> tuple[Machine, ...]:
        """The swarm's, by name."""
        nodes, tasks = await self.manager.nodes(), await self.manager.all_tasks()
        return machines(nodes, tasks, self.node_id)

    # Images: as this machine has them

    async def image(self, reference: str) -> ImageInfo | None:
        return await self._here.image(reference)

    async def images(self) -> tuple[str, ...]:
        return await self._here.images()

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        return await self._here.pull(
            reference, report, stall_timeout_s=stall_timeout_s, max_bytes=max_bytes, auth=auth
        )

    async def tag(self, image_id: str, name: ImageName) -> None:
        await self._here.tag(image_id, name)

    async def image_ids(self) -> frozenset[str]:
        return await self._here.image_ids()

    async def remove_image(self, name: str) -> None:
        await self._here.remove_image(name)

    # One job's life

    def profile_report(self, spec: ContainerSpec) -> dict[str, Any]:
        return service_report(spec)

    async def create(self, spec: ContainerSpec) -> str:
        check(spec)
        try:
            made = await self._client.change(
                self._client.post, "/services/create", service_body(spec)
            )
        except EngineConflict:
            service = await self.manager.service(spec.container_name)
            labels = labels_of(service)
            found = (labels.get(LABEL_LEASE), labels.get(LABEL_IMAGE))
            if found != (spec.lease_id, spec.image.image_id):
                raise EngineRefused(
                    f"something else has the name {spec.container_name}: remove that service",
                    code="container_conflict",
                ) from None
            return str(service["ID"])
        return str(made["ID"])

    async def start(self, job_id: str) -> None:
        """Start it; returns when its process runs, however long its machine pulls the image.

        Raises:
            ImageNotFound: the machine cannot get the image.
            MachineUnavailable: it is away, or full.
            EngineRefused: what else its machine says.
        """
        waits_since_s = None
        pause_s = _SOON_S
        while True:
            service = await self.manager.service(job_id)
            labels = labels_of(service)
            if LABEL_STOPPED in labels:
                return
            if not replicas(service):
                await self.manager.change(job_id, told_to_start)
            task, machine = await self.manager.task(job_id)
            if task is not None:
                problem = start_problem(task)
                if problem is not None:
                    raise problem
                if is_over(task):
                    return
                if task["Status"]["State"] == "running":
                    if LABEL_STARTED not in labels:
                        started = {LABEL_STARTED: str(time.time_ns())}
                        await self.manager.change(job_id, partial(with_labels, labels=started))
                    return
                if machine is not None and machine.is_down:
                    raise no_place(f"{machine.name} is not heard of")
                words = waiting_words(task)
                waits_since_s = (waits_since_s or trio.current_time()) if words else None
                if waits_since_s and trio.current_time() - waits_since_s > _PLACE_PATIENCE_S:
                    raise no_place(words)
            await trio.sleep(pause_s)
            # Its machine may have to pull the image.
            pause_s = min(pause_s * 1.2, _LOOK_INTERVAL_S)

    async def wait(self, job_id: str) -> Exit:
        """How it ended, once it has. Its machine that was away meanwhile, or is not heard of any more, is
        the engine's doing, not the job's.
        """
        version: int | None = None
        while True:
            await self._until_answering()
            looked = self._looked
            try:
                service = await self.manager.service(job_id)
                task, machine = await self.manager.task(job_id)
            except EngineUnavailable:
                self._is_answering = False
                continue
            ended = job_view(service, task, machine).ended
            if machine is not None:
                has_changed = version is not None and machine.version != version
                version = machine.version
                if ended is not None and ended.code != 0 and has_changed:
                    return replace(ended, is_interrupted=True)
            if ended is not None:
                return ended
            await self._until_other(str(service["ID"]), task, machine, looked)

    async def inspect(self, job_id: str) -> ContainerView:
        service = await self.manager.service(job_id)
        task, machine = await self.manager.task(job_id)
        return job_view(service, task, machine)

    async def pause(self, job_id: str) -> None:
        raise EngineRefused("a swarm freezes no job", code=NOT_BY_THIS_ENGINE)

    async def unpause(self, job_id: str) -> None:
        """None stands still."""

    async def stop(self, job_id: str, *, grace_s: float) -> None:
        """As `kill`: how long it has was fixed when it was made."""
        await self.kill(job_id)

    async def kill(self, job_id: str) -> None:
        """End it, with the grace that every service has. What it came to is kept with the service."""
        with suppress(ContainerGone):
            service = await self.manager.service(job_id)
            task, _ = await self.manager.task(job_id)
            if not replicas(service) and task is None:
                if LABEL_STOPPED not in labels_of(service):
                    await self.manager.change(job_id, partial(told_to_end, now_ns=time.time_ns()))
                return
            if task is not None and is_over(task):
                return
            if LABEL_STOPPED not in labels_of(service):
                await self.manager.change(job_id, partial(told_to_end, now_ns=time.time_ns()))
            await self._until_told_end(job_id)

    async def remove(self, job_id: str) -> None:
        with suppress(ContainerGone):
            service = await self.manager.service(job_id)
            lease_id = labels_of(service).get(LABEL_LEASE, "")
            with suppress(ContainerGone):
                await self._client.change(self._api.remove_service, service["ID"])
            with trio.move_on_after(GRACE_S + _END_PATIENCE_S):
                while True:
                    if not await self._runs(lease_id):
                        return
                    await trio.sleep(_SOON_S)

    async def list_leases(self) -> tuple[LeaseContainer, ...]:
        look = await self.manager.look()
        leases = []
        for service_id, service in look.services.items():
            view = look.view(service_id)
            if service["Spec"]["Name"] == CONTAINER_NAME_PREFIX + view.lease_id:
                leases.append(LeaseContainer(view.lease_id, service_id, view.state))
        return tuple(sorted(leases, key=lambda lease: lease.lease_id))

    # Watching it run

    async def follow_usage(self, job_id: str) -> AsyncIterator[Usage]:
        """Nothing: only its machine knows."""
        return
        yield

    @asynccontextmanager
    async def follow_logs(
        self, job_id: str, *, cursor: LogCursor = LOG_START, max_bytes: int = LOG_BYTES_MAX
    ) -> AsyncIterator[AsyncIterator[LogChunk]]:
        """Its output so far and as it comes, until it ends.

        Raises:
            ContainerGone: it is lost with its machine, and so is what it has not told.
        """
        service_id = str((await self.manager.service(job_id))["ID"])
        _, machine = await self.manager.task(job_id)
        if machine is not None and machine.is_down:
            raise ContainerGone(f"{machine.name} is not heard of")
        async with follow(
            partial(self._client.open_records, f"/services/{service_id}/logs"),
            partial(self.wait, job_id),
            self._nursery,
            cursor=cursor,
            max_bytes=max_bytes,
            limiter=self._client.streams,
        ) as buffer:
            yield buffer

    async def create_link(self, spec: LinkSpec) -> str:
        raise EngineRefused(
            "a swarm lets no job share another container's network", code=NOT_BY_THIS_ENGINE
        )

    async def list_links(self, name_prefix: str) -> tuple[LeaseContainer, ...]:
        return ()

    async def _runs(self, lease_id: str) -> bool:
        """Whether anything of a lease may still run, on a machine that is heard of."""
        label = {"label": f"{LABEL_LEASE}={lease_id}"}
        for task in await self._client.look(self._api.tasks, filters=label):
            machine = self._look.members.get(str(task.get("NodeID", "")))
            if not is_over(task) and machine is not None and not machine.is_down:
                return True
        return False

    async def _until_told_end(self, job_id: str) -> None:
        """Follow a task that was told to end, and keep how it did: the swarm does not."""
        last: Json | None = None
        with trio.move_on_after(GRACE_S + _END_PATIENCE_S):
            while True:
                task, machine = await self.manager.task(job_id)
                if task is None or (machine is not None and machine.is_down):
                    break
                if is_over(task):
                    last = task
                await trio.sleep(_SOON_S)
        if last is not None:
            labels = {LABEL_ENDED: ended_label(last)}
            await self.manager.change(job_id, partial(with_labels, labels=labels))

    async def _until_answering(self) -> None:
        with trio.move_on_after(self._grace_s) as scope:
            while not self._is_answering:
                await self._looked.wait()
        if scope.cancelled_caught:
            raise EngineLost(
                f"the swarm's manager has not answered for {self._grace_s:g} s; its jobs may be "
                "running: start it again (systemctl start docker)"
            )

    async def _until_other(
        self, service_id: str, task: Json | None, machine: Member | None, looked: trio.Event
    ) -> None:
        """Wait for a look, begun after ours, at which something is different."""
        known = (essence(task), machine)
        while True:
            await looked.wait()
            looked = self._looked
            look = self._look
            seen = look.tasks.get(service_id)
            if not self._is_answering or service_id not in look.services:
                return
            if (essence(seen), look.member_of(seen)) != known:
                return
