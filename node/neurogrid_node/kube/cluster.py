"""What is asked of a cluster: this node's pods, the machines, and one watch that follows the pods."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

from neurogrid_node.container.errors import ContainerGone, EngineRefused, EngineUnavailable
from neurogrid_node.container.spec import LABEL_NODE
from neurogrid_node.container.stream import BlockingStream
from neurogrid_node.kube.api import KubeClient
from neurogrid_node.kube.lines import LOG_LINE_BYTES_MAX, log_records
from neurogrid_node.kube.objects import (
    Node,
    NodeList,
    Pod,
    PodList,
    ServerVersion,
    Status,
    WatchEvent,
    read,
)
from neurogrid_node.kube.pod import CONTAINER_NAME
from neurogrid_node.kube.views import api_answer

_PAGE: Final = 200
# A cluster has at most 5,000 machines (Kubernetes' own tested limit); a node has far fewer jobs.
_PAGES_MAX: Final = 50
# A watch ends by itself after so long, and is begun anew where it was.
_WATCH_S: Final = 300
# Between its end and the connection's.
_SLACK_S: Final = 30
_EVENT_BYTES_MAX: Final = 2 << 20
# Of a log that says nothing; then it is asked for anew.
_LOG_SILENCE_S: Final = 300
# By how much the clocks of the machines may differ from ours: what was read already is told again, not lost.
_CLOCK_SLACK_S: Final = 60
_MERGE: Final = "application/merge-patch+json"


class PodEvents:
    """What has happened to this node's pods since a moment; blocks, as `BlockingStream` says.

    Iterating raises `WatchExpired` when the moment is too long ago.
    """

    def __init__(self, lines: BlockingStream[bytes]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[str, Pod]]:
        for line in self._lines:
            if not line.strip():
                continue
            event = read(WatchEvent, line)
            if event.type == "ERROR":
                status = read(Status, event.object)
                raise api_answer(status.code, status)
            yield event.type, read(Pod, event.object)

    def close(self) -> None:
        self._lines.close()


class _Records:
    """A log's lines as records."""

    def __init__(self, lines: BlockingStream[bytes]) -> None:
        self._lines = lines

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        return log_records(self._lines)

    def close(self) -> None:
        self._lines.close()


class Cluster:
    """See the module; ``node_id``: whose pods."""

    def __init__(self, client: KubeClient, node_id: str) -> None:
        self._client = client
        self._core = client.core
        self._namespace = client.namespace
        self._ours = f"{LABEL_NODE}={node_id}"

    async def version(self) -> str:
        """Of its API server."""
        return read(
            ServerVersion, await self._client.look(self._client.version.get_code)
        ).git_version

    async def nodes(self) -> list[Node]:
        """Its machines, as it tells of them."""
        found, _ = await self._all(NodeList, self._core.list_node)
        return found

    async def pods(self) -> tuple[list[Pod], str]:
        """This node's, and the moment from which on a watch tells what happens to them."""
        return await self._all(
            PodList, self._core.list_namespaced_pod, self._namespace, label_selector=self._ours
        )

    async def _all(
        self, kind: Any, call: Callable[..., Any], *arguments: Any, **options: Any
    ) -> tuple[list[Any], str]:
        items: list[Any] = []
        for _ in range(_PAGES_MAX):
            page = read(kind, await self._client.look(call, *arguments, limit=_PAGE, **options))
            items += page.items or ()
            if not page.metadata.continue_:
                return items, page.metadata.resource_version
            options["_continue"] = page.metadata.continue_
        raise EngineUnavailable(f"the cluster lists more than {_PAGES_MAX * _PAGE} objects")

    async def pod(self, name: str) -> Pod:
        """
        Raises:
            ContainerGone: there is none.
            EngineError: the API server is away.
        """
        return read(
            Pod, await self._client.look(self._core.read_namespaced_pod, name, self._namespace)
        )

    async def create(self, body: dict[str, Any]) -> bytes:
        """The pod as it was made, for `pod.changed_on_the_way`.

        Raises:
            EngineConflict: there is one of this name.
        """
        try:
            return await self._client.change(
                self._core.create_namespaced_pod, self._namespace, body, field_validation="Strict"
            )
        except ContainerGone as error:
            raise EngineRefused(f"{error}: make the namespace (docs/fleet.md)") from error

    async def patch(self, name: str, patch: dict[str, Any]) -> None:
        """A JSON merge patch; as `pod`."""
        await self._client.change(
            self._core.patch_namespaced_pod, name, self._namespace, patch, _content_type=_MERGE
        )

    async def delete(self, name: str, *, grace_s: int) -> None:
        """Have it ended and forgotten; one that is gone is left alone."""
        with suppress(ContainerGone):
            await self._client.change(
                self._core.delete_namespaced_pod,
                name,
                self._namespace,
                grace_period_seconds=grace_s,
            )

    def open_watch(self, version: str) -> PodEvents:
        """Blocks; a watch ends after some minutes by itself."""
        return PodEvents(
            self._client.open_lines(
                self._core.list_namespaced_pod,
                self._namespace,
                label_selector=self._ours,
                watch=True,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=_WATCH_S,
                silence_s=_WATCH_S + _SLACK_S,
                line_bytes_max=_EVENT_BYTES_MAX,
            )
        )

    def open_records(
        self, name: str, since_ns: int, *, follows: bool
    ) -> BlockingStream[tuple[int, bytes]]:
        """One pass over a pod's log; see `container.followed_log`. Blocks."""
        options: dict[str, Any] = {}
        if since_ns:
            ago_s = math.ceil((time.time_ns() - since_ns) / 1e9)
            options["since_seconds"] = max(1, ago_s) + _CLOCK_SLACK_S
        return _Records(
            self._client.open_lines(
                self._core.read_namespaced_pod_log,
                name,
                self._namespace,
                container=CONTAINER_NAME,
                timestamps=True,
                follow=follows,
                silence_s=_LOG_SILENCE_S,
                line_bytes_max=LOG_LINE_BYTES_MAX,
                **options,
            )
        )
