"""A Kubernetes cluster as a `JobEngine`: each job a pod on the machine that was chosen for it.

What has become of a pod is asked for whenever the watch tells something of it (`pods`). Images are not fetched
by us: each machine pulls what it runs, by its digest.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import trio

from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.registry_auth import RegistryAuth
from neurogrid_node.container.errors import (
    ContainerGone,
    EngineConflict,
    EngineError,
    EngineRefused,
    EngineUnavailable,
    ImageError,
    PullStalled,
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
    LABEL_NODE,
    ContainerSpec,
    ImageInfo,
)
from neurogrid_node.container.usage import Usage
from neurogrid_node.container.user_namespaces import ROOT
from neurogrid_node.container.views import ContainerState, ContainerView, EngineInfo, LeaseContainer
from neurogrid_node.fleet.machines import Machine
from neurogrid_node.kube.api import CALL_TIMEOUT_S, ClusterAccess, KubeClient
from neurogrid_node.kube.cluster import Cluster
from neurogrid_node.kube.images import ClusterImages
from neurogrid_node.kube.machines import ADVICE, machines
from neurogrid_node.kube.objects import Pod
from neurogrid_node.kube.pod import (
    ANNOTATION_IMAGE,
    GRACE_S,
    NOT_BY_THIS_ENGINE,
    PodPlace,
    changed_on_the_way,
    check,
    pod_body,
    pod_name,
    pod_report,
    told_to_end,
    told_to_start,
)
from neurogrid_node.kube.pods import FollowedPods
from neurogrid_node.kube.views import (
    gone_exit,
    is_bound,
    is_running,
    is_told_to_end,
    job_view,
    no_place,
    pull_problem,
    start_problem,
)

_ABILITIES: Final = Abilities(
    gpus=False,
    freeze=False,
    links=False,
    hard_disk=False,
    usage=False,
    oom=True,
    logins=False,
    own_network=False,
    own_pids=False,
)
# Asked again where the watch tells nothing.
_AGAIN_S: Final = 1.0
# A scheduler says "no room" also while another pod is just leaving.
_PLACE_PATIENCE_S: Final = 20.0
# A registry that is away; kubelets try again by themselves, ever more rarely.
_PULL_PATIENCE_S: Final = 120.0
# From a pod's creation on its machine to its process: an image of tens of GiB.
_START_PATIENCE_S: Final = 3600.0
# From the end of a pod's grace to its last state: a kill, and a report of its machine.
_END_PATIENCE_S: Final = 30.0
# To be forgotten: less than this is refused, and nothing that is removed has anything to write any more.
_REMOVE_GRACE_S: Final = 1


@asynccontextmanager
async def connect_cluster(
    node_id: str,
    access: ClusterAccess,
    place: PodPlace,
    *,
    grace_s: float = 30,
    call_timeout_s: float = CALL_TIMEOUT_S,
) -> AsyncIterator["KubeEngine"]:
    """Connect to a cluster; leaving closes the connection, jobs run on.

    Args:
        node_id, grace_s: see `connect_engine`.
        call_timeout_s: how long the API server may say nothing to a call.

    Raises:
        EngineUnavailable: nothing answers; the message says what to do.
        EngineRefused: it does not let us.
    """
    client = await KubeClient.connect(access, call_timeout_s)
    try:
        cluster = Cluster(client, node_id)
        # Asked first, so that what is missing is said.
        await cluster.pods()
        info = _info(await cluster.version(), await _architecture(cluster), place)
        async with trio.open_nursery() as nursery:
            pods = FollowedPods(cluster, client.streams, grace_s)
            engine = KubeEngine(client, cluster, pods, node_id, info, place, nursery)
            await nursery.start(pods.run)
            yield engine
            nursery.cancel_scope.cancel()
    finally:
        client.close()


def _info(version: str, architecture: str, place: PodPlace) -> EngineInfo:
    """What machines do with images and limits is theirs, and tried before one is offered."""
    return EngineInfo(
        version=version,
        cgroup_version="",
        storage_driver="",
        runtimes=(),
        job_runtimes=(place.runtime_class,) if place.runtime_class else (),
        architecture=architecture,
        data_root="",
        unlimited=(),
        cgroup_driver="",
        has_seccomp=True,
        live_restore=True,
        is_rootless=False,
        # Also in a user namespace of its own: the shared volume is mounted for it there.
        root_ids=ROOT,
    )


async def _architecture(cluster: Cluster) -> str:
    """Of most machines; others run no job of ours."""
    counted = Counter(node.status.node_info.architecture for node in await cluster.nodes())
    return max(sorted(counted), key=counted.__getitem__, default="")


class KubeEngine:
    """See the module. Made by `connect_cluster`."""

    def __init__(
        self,
        client: KubeClient,
        cluster: Cluster,
        pods: FollowedPods,
        node_id: str,
        info: EngineInfo,
        place: PodPlace,
        nursery: trio.Nursery,
    ) -> None:
        self.node_id = node_id
        self.abilities = _ABILITIES
        self.advice = ADVICE
        self.execs = None
        self.info = info
        self.cluster = cluster
        self._client = client
        self._place = place
        self._images = ClusterImages(cluster)
        self._nursery = nursery
        self._pods = pods

    @property
    def connections(self) -> int:
        return self._pods.connections

    async def trial_image(self, reference: str) -> ImageInfo | None:
        """As machines have it; one that is named by its digest each machine pulls by itself."""
        try:
            return await self.image(reference) or self._images.pinned(reference)
        except ImageError:
            return None

    async def machines(self) -> tuple[Machine, ...]:
        """The cluster's, by name."""
        return machines(await self.cluster.nodes(), self.info.architecture)

    # Images: as the machines tell of them, and as registries do

    async def image(self, reference: str) -> ImageInfo | None:
        return await self._images.find(reference)

    async def images(self) -> tuple[str, ...]:
        return await self._images.names()

    async def pull(
        self,
        reference: str,
        report: Callable[[PullProgress], None],
        *,
        stall_timeout_s: float,
        max_bytes: int | None = None,
        auth: RegistryAuth | None = None,
    ) -> ImageInfo:
        """Nothing is fetched: whichever machine runs it does that, when it is started.

        Raises:
            EngineRefused: it takes a login (``not_by_this_engine``).
            PullFailed: no registry has said which bytes the name stands for.
        """
        if auth is not None:
            raise EngineRefused(
                "a cluster's machines pull as nobody: an image that needs a login does not run here",
                code=NOT_BY_THIS_ENGINE,
            )
        return self._images.pinned(reference)

    async def tag(self, image_id: str, name: ImageName) -> None:
        self._images.name(image_id, name)

    async def image_ids(self) -> frozenset[str]:
        return await self._images.ids()

    async def remove_image(self, name: str) -> None:
        """Machines remove by themselves what nobody uses."""
        self._images.forget(name)

    # One job's life

    def profile_report(self, spec: ContainerSpec) -> dict[str, Any]:
        return pod_report(spec, self._place)

    async def create(self, spec: ContainerSpec) -> str:
        check(spec)
        body = pod_body(spec, self._place)
        name = pod_name(spec.container_name)
        try:
            answer = await self.cluster.create(body)
        except EngineConflict:
            pod = await self.cluster.pod(name)
            labels, annotations = pod.metadata.labels or {}, pod.metadata.annotations or {}
            found = (labels.get(LABEL_LEASE), labels.get(LABEL_NODE))
            image_id = annotations.get(ANNOTATION_IMAGE)
            if (*found, image_id) != (spec.lease_id, spec.node_id, spec.image.image_id):
                raise EngineRefused(
                    f"something else has the name {name}: kubectl delete pod {name}",
                    code="container_conflict",
                ) from None
            return name
        self._pods.making(name)
        where = changed_on_the_way(body, json.loads(answer))
        if where:
            await self.remove(name)
            raise EngineRefused(
                f"the cluster changed the pod where it says how the job is held ({where}): keep what adds to "
                "pods (webhooks, a service account's imagePullSecrets) out of this namespace",
                code="pod_changed",
            )
        return name

    async def start(self, job_id: str) -> None:
        """Start it; returns when its process runs, however long its machine pulls the image.

        Raises:
            ImageNotFound: the machine cannot get the image.
            PullFailed, PullStalled: it does not come.
            MachineUnavailable: it is away, or full.
            EngineRefused: what else its machine says.
        """
        name = pod_name(job_id)
        pod = await self.cluster.pod(name)
        if is_told_to_end(pod):
            return
        if pod.spec.scheduling_gates:
            await self.cluster.patch(name, told_to_start())
        begun_s = trio.current_time()
        # What keeps it for the moment, by what it is, and since when.
        since_s: dict[type[EngineError], float] = {}
        while True:
            changed = self._pods.changed
            pod = await self.cluster.pod(name)
            if is_running(pod) or job_view(pod, time.time_ns()).state is ContainerState.EXITED:
                if (problem := start_problem(pod)) is not None:
                    raise problem
                return
            if (problem := start_problem(pod)) is not None:
                raise problem
            now_s = trio.current_time()
            waits = {type(each): each for each in (no_place(pod), pull_problem(pod)) if each}
            since_s = {kind: since_s.get(kind, now_s) for kind in waits}
            for kind, each in waits.items():
                is_place = not is_bound(pod)
                patience_s = _PLACE_PATIENCE_S if is_place else _PULL_PATIENCE_S
                if now_s - since_s[kind] > patience_s:
                    raise each
            if now_s - begun_s > _START_PATIENCE_S:
                raise PullStalled(f"its machine has not begun it within {_START_PATIENCE_S:g} s")
            with trio.move_on_after(_AGAIN_S):
                await changed.wait()

    async def wait(self, job_id: str) -> Exit:
        """How it ended, once it has. What the cluster ended, or lost with a machine, is not the job's doing."""
        name = pod_name(job_id)
        last: Pod | None = None
        while True:
            await self._pods.until_answering()
            changed = self._pods.changed
            try:
                last = await self.cluster.pod(name)
            except EngineUnavailable:
                self._pods.away()
                continue
            except ContainerGone:
                last = self._pods.last(name) or last
                if last is None or self._pods.is_removed(name):
                    raise
                ended = gone_exit(last, time.time_ns())
                if ended is None:
                    raise
                return ended
            if last.metadata.deletion_timestamp and self._pods.is_removed(name):
                raise ContainerGone(f"{name} is being removed")
            ended = job_view(last, time.time_ns()).ended
            if ended is not None:
                return ended
            await self._pods.until_other(last, changed)

    async def inspect(self, job_id: str) -> ContainerView:
        return job_view(await self.cluster.pod(pod_name(job_id)), time.time_ns())

    async def pause(self, job_id: str) -> None:
        raise EngineRefused("a cluster freezes no job", code=NOT_BY_THIS_ENGINE)

    async def unpause(self, job_id: str) -> None:
        """None stands still."""

    async def stop(self, job_id: str, *, grace_s: float) -> None:
        """As `kill`: how long it has was fixed when it was made."""
        await self.kill(job_id)

    async def kill(self, job_id: str) -> None:
        """End it, with the grace that every pod has."""
        name = pod_name(job_id)
        with suppress(ContainerGone):
            pod = await self.cluster.pod(name)
            now_ns = time.time_ns()
            if job_view(pod, now_ns).ended is not None:
                return
            if not is_told_to_end(pod):
                await self.cluster.patch(name, told_to_end(now_ns))
            with trio.move_on_after(GRACE_S + _END_PATIENCE_S):
                while True:
                    changed = self._pods.changed
                    pod = await self.cluster.pod(name)
                    if job_view(pod, time.time_ns()).ended is not None:
                        return
                    with trio.move_on_after(_AGAIN_S):
                        await changed.wait()

    async def remove(self, job_id: str) -> None:
        name = pod_name(job_id)
        self._pods.removing(name)
        await self.cluster.delete(name, grace_s=_REMOVE_GRACE_S)
        with suppress(ContainerGone), trio.move_on_after(_END_PATIENCE_S):
            while True:
                changed = self._pods.changed
                await self.cluster.pod(name)
                with trio.move_on_after(_AGAIN_S):
                    await changed.wait()

    async def list_leases(self) -> tuple[LeaseContainer, ...]:
        pods, _ = await self.cluster.pods()
        leases = []
        for pod in pods:
            view = job_view(pod, time.time_ns())
            if pod.metadata.name == pod_name(CONTAINER_NAME_PREFIX + view.lease_id):
                leases.append(LeaseContainer(view.lease_id, pod.metadata.name, view.state))
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
        name = pod_name(job_id)
        while (view := await self.inspect(name)).state is ContainerState.CREATED:
            # It has no log yet, and the server would say so instead of waiting.
            changed = self._pods.changed
            with trio.move_on_after(_AGAIN_S):
                await changed.wait()
        if view.ended is not None and view.ended.is_interrupted:
            raise ContainerGone(view.ended.error)
        async with follow(
            partial(self.cluster.open_records, name),
            partial(self.wait, name),
            self._nursery,
            cursor=cursor,
            max_bytes=max_bytes,
            limiter=self._client.streams,
        ) as buffer:
            yield buffer

    async def create_link(self, spec: LinkSpec) -> str:
        raise EngineRefused(
            "a cluster lets no job share another container's network", code=NOT_BY_THIS_ENGINE
        )

    async def list_links(self, name_prefix: str) -> tuple[LeaseContainer, ...]:
        return ()
