"""This node's pods as one list and one watch tell of them, however many jobs wait for their ends.

What is decided by hangs on no gap in it: it says when to ask, and how a pod that is gone was last seen.
"""

import logging
from collections import OrderedDict
from functools import partial
from typing import Final, TypeVar

import trio

from neurogrid_node.container.errors import EngineError, EngineLost
from neurogrid_node.container.stream import read_stream
from neurogrid_node.kube.cluster import Cluster
from neurogrid_node.kube.objects import Pod
from neurogrid_node.kube.views import WatchExpired

T = TypeVar("T")

_log = logging.getLogger(__name__)

# After an API server that has not answered, or has ended a watch at once; and for what no watch tells.
_AGAIN_S: Final = 1.0
_LOOK_INTERVAL_S: Final = 15.0
# Names of pods that are gone; a lease has one pod, and nobody asks for an old one again.
_GONE_MAX: Final = 4096


class FollowedPods:
    """See the module; `run` is kept running.

    Attributes:
        connections: how often the server has begun to answer.
    """

    def __init__(self, cluster: Cluster, streams: trio.CapacityLimiter, grace_s: float) -> None:
        """
        Args:
            streams: bounds the threads that read streams.
            grace_s: how long the server may be away before it counts as lost.
        """
        self._cluster = cluster
        self._streams = streams
        self._grace_s = grace_s
        self._pods: dict[str, Pod] = {}
        # The last of those that are gone, as they were last seen; and of those that are because we said so.
        self._gone: OrderedDict[str, Pod] = OrderedDict()
        self._removed: OrderedDict[str, None] = OrderedDict()
        self._changed = trio.Event()
        self._is_answering = False
        self.connections = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follow the pods for ever; reports itself started after the first list."""
        version = ""
        while True:
            begun_s = trio.current_time()
            try:
                if version:
                    version = await self._watch(version)
                    # A server, or what stands in front of it, may end each watch at once.
                    await trio.sleep_until(begun_s + _AGAIN_S)
                else:
                    version = await self._list()
                    task_status.started()
                    task_status = trio.TASK_STATUS_IGNORED
            except WatchExpired:
                version = ""
                await trio.sleep_until(begun_s + _AGAIN_S)
            except EngineError as error:
                # All is listed anew: it may be another server, restored from who knows when.
                _log.debug("the cluster's pods: %s", error)
                version = ""
                self.away()
                await trio.sleep(_AGAIN_S)

    async def _list(self) -> str:
        pods, version = await self._cluster.pods()
        self._pods = {pod.metadata.name: pod for pod in pods}
        self._answered()
        return version

    async def _watch(self, version: str) -> str:
        """One watch to its end; from where the next goes on."""
        seen = version
        token = trio.lowlevel.current_trio_token()

        def take(event: tuple[str, Pod]) -> bool:
            nonlocal seen
            kind, pod = event
            seen = pod.metadata.resource_version or seen
            if kind != "BOOKMARK":
                trio.from_thread.run_sync(self._take, kind, pod, trio_token=token)
            return True

        await read_stream(partial(self._cluster.open_watch, version), take, limiter=self._streams)
        return seen

    def _take(self, kind: str, pod: Pod) -> None:
        name = pod.metadata.name
        if kind == "DELETED":
            self._pods.pop(name, None)
            _keep(self._gone, name, pod)
        else:
            self._pods[name] = pod
        self._answered()

    def _answered(self) -> None:
        self.connections += not self._is_answering
        self._is_answering = True
        self._tell()

    def away(self) -> None:
        """The server does not answer."""
        self._is_answering = False
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # What is gone

    def last(self, name: str) -> Pod | None:
        """How a pod that is gone was last seen."""
        return self._gone.get(name)

    def making(self, name: str) -> None:
        """We make one of this name."""
        self._removed.pop(name, None)

    def removing(self, name: str) -> None:
        """We have this one forgotten."""
        _keep(self._removed, name, None)

    def is_removed(self, name: str) -> bool:
        """Whether it is gone, or is going, because we said so."""
        return name in self._removed

    # When to ask

    @property
    def changed(self) -> trio.Event:
        """Set when anything is told next. Taken before asking, it misses nothing."""
        return self._changed

    async def until_answering(self) -> None:
        """
        Raises:
            EngineLost: the server has been away for the grace period.
        """
        with trio.move_on_after(self._grace_s) as scope:
            while not self._is_answering:
                await self._changed.wait()
        if scope.cancelled_caught:
            raise EngineLost(
                f"the cluster's API server has not answered for {self._grace_s:g} s; its jobs may be "
                "running: look whether kubectl get --raw /readyz does"
            )

    async def until_other(self, seen: Pod, changed: trio.Event) -> None:
        """Wait until something else is told of a pod, or it is time to ask all the same.

        Args:
            changed: taken before it was asked for.
        """
        with trio.move_on_after(_LOOK_INTERVAL_S):
            while True:
                await changed.wait()
                changed = self._changed
                told = self._pods.get(seen.metadata.name)
                if not self._is_answering or told is None:
                    return
                if told.metadata.resource_version != seen.metadata.resource_version:
                    return


def _keep(kept: OrderedDict[str, T], name: str, value: T) -> None:
    kept[name] = value
    kept.move_to_end(name)
    while len(kept) > _GONE_MAX:
        kept.popitem(last=False)
