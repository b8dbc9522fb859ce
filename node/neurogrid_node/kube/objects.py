"""What of the cluster's objects is read, and how: whatever the API server answers is checked here.

Types and sizes are those of the published API (core/v1); other fields are not looked at. Whoever sends
something else gets `EngineUnavailable`, and nothing of it goes further.
"""

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from neurogrid_node.container.errors import EngineUnavailable

T = TypeVar("T")

# Names of objects are at most 253 characters; versions are the server's own, and opaque.
Name = Annotated[str, Meta(max_length=253)]
Version = Annotated[str, Meta(max_length=128)]
Word = Annotated[str, Meta(max_length=128)]
# Sentences of kubelets and schedulers; one who says more than this has nothing sensible to say.
Words = Annotated[str, Meta(max_length=64 * 1024)]
Time = Annotated[str, Meta(max_length=64)]
Labels = Annotated[dict[str, Annotated[str, Meta(max_length=4096)]], Meta(max_length=1024)]


class _Object(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a server does not say is as good as empty."""


class ObjectMeta(_Object, frozen=True, kw_only=True):
    """``name`` is empty in a watch's bookmarks alone."""

    name: Name = ""
    uid: Word = ""
    resource_version: Version = ""
    labels: Labels | None = None
    annotations: Labels | None = None
    deletion_timestamp: Time | None = None


class Running(_Object, frozen=True, kw_only=True):
    started_at: Time | None = None


class Waiting(_Object, frozen=True, kw_only=True):
    reason: Word = ""
    message: Words = ""


class Terminated(_Object, frozen=True, kw_only=True):
    exit_code: Annotated[int, Meta(ge=-(2**31), lt=2**31)]
    reason: Word = ""
    message: Words = ""
    started_at: Time | None = None
    finished_at: Time | None = None


class ContainerState(_Object, frozen=True, kw_only=True):
    """One of the three; none of them: it waits."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Object, frozen=True, kw_only=True):
    name: Name
    state: ContainerState = ContainerState()


class Condition(_Object, frozen=True, kw_only=True):
    type: Annotated[str, Meta(max_length=316)]
    status: Word
    reason: Annotated[str, Meta(max_length=1024)] = ""
    message: Words = ""


class PodStatus(_Object, frozen=True, kw_only=True):
    phase: Word = ""
    reason: Word = ""
    message: Words = ""
    conditions: Annotated[list[Condition], Meta(max_length=64)] | None = None
    container_statuses: Annotated[list[ContainerStatus], Meta(max_length=64)] | None = None


class PodSpec(_Object, frozen=True, kw_only=True):
    """Of a pod that is ours; the whole of it is compared with what was asked for when it is made."""

    node_name: Name = ""
    scheduling_gates: list[dict[str, Any]] | None = None


class Pod(_Object, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class ListMeta(_Object, frozen=True, kw_only=True):
    resource_version: Version = ""
    continue_: Annotated[str, Meta(max_length=64 * 1024)] = msgspec.field(
        name="continue", default=""
    )


class PodList(_Object, frozen=True, kw_only=True):
    metadata: ListMeta = ListMeta()
    items: list[Pod] | None = None


class Taint(_Object, frozen=True, kw_only=True):
    key: Annotated[str, Meta(max_length=316)]
    effect: Word


class NodeSpec(_Object, frozen=True, kw_only=True):
    unschedulable: bool = False
    taints: Annotated[list[Taint], Meta(max_length=1024)] | None = None


class NodeInfo(_Object, frozen=True, kw_only=True):
    boot_id: Word = msgspec.field(name="bootID", default="")
    architecture: Word = ""
    operating_system: Word = ""
    kubelet_version: Word = ""
    container_runtime_version: Word = ""


class NodeImage(_Object, frozen=True, kw_only=True):
    names: Annotated[list[Annotated[str, Meta(max_length=4096)]], Meta(max_length=256)] | None = (
        None
    )
    size_bytes: Annotated[int, Meta(ge=0, lt=1 << 62)] = 0


class NodeAddress(_Object, frozen=True, kw_only=True):
    type: Word
    address: Name


class NodeStatus(_Object, frozen=True, kw_only=True):
    allocatable: dict[str, Annotated[str, Meta(max_length=64)]] | None = None
    conditions: Annotated[list[Condition], Meta(max_length=64)] | None = None
    addresses: Annotated[list[NodeAddress], Meta(max_length=64)] | None = None
    images: Annotated[list[NodeImage], Meta(max_length=10_000)] | None = None
    node_info: NodeInfo = NodeInfo()


class Node(_Object, frozen=True, kw_only=True):
    metadata: ObjectMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class NodeList(_Object, frozen=True, kw_only=True):
    metadata: ListMeta = ListMeta()
    items: list[Node] | None = None


class Status(_Object, frozen=True, kw_only=True):
    """What a server says of a request that it did not carry out, also in a watch."""

    code: int = 0
    reason: Word = ""
    message: Words = ""


class WatchEvent(_Object, frozen=True, kw_only=True):
    """``object`` is a pod, or the `Status` of an ``ERROR``."""

    type: Word
    object: msgspec.Raw


class ServerVersion(_Object, frozen=True, kw_only=True):
    git_version: Word


_WHAT: Final = "the cluster's answer is none of the published API's"


def read(kind: type[T], body: bytes | msgspec.Raw) -> T:
    """
    Raises:
        EngineUnavailable: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise EngineUnavailable(f"{_WHAT}: {error}") from error
