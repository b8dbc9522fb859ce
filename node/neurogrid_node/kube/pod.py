"""A job as a pod of one container: on one machine, never started again, and held back until it is. Pure.

What is said of a container on Docker is said of the pod as far as the API can (Kubernetes 1.30). It meets the
Pod Security Standard "restricted". What the API cannot say the machines have to do by themselves; only those
that were tried are offered. docs/fleet.md has the list.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurogrid_marketplace.image_name import ImageName
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.profile import create_arguments, profile_report
from neurogrid_node.container.spec import LABEL_LEASE, LABEL_NODE, ContainerSpec
from neurogrid_node.kube.quantity import read_quantity

PROFILE_NAME: Final = "neurogrid-kubernetes-1"
CONTAINER_NAME: Final = "job"
# What its container is created from, so that making it again can tell whether it is the same.
ANNOTATION_IMAGE: Final = "io.neurogrid.image"
# When we told it to end, Unix time in ns: a job that is asked to end has ended by nobody else's doing.
LABEL_STOPPED: Final = "io.neurogrid.stopped"
# A pod with a gate is not given to any machine; taking it away starts it.
GATE: Final = "neurogrid.io/start"
# The filter of system calls, in every kubelet's folder of them (/var/lib/kubelet/seccomp).
SECCOMP_FILE: Final = "neurogrid.json"
# The files that all machines share.
_FILES: Final = "files"
NOT_BY_THIS_ENGINE: Final = "not_by_this_engine"

# How long a pod has to end by itself, fixed when it is made: what leases give their jobs.
GRACE_S: Final = 3
# Of a pod's machine that is not heard of; then the cluster gives up what ran there.
_AWAY_S: Final = 300
# All that a job may put on its machine's own disk is its log, which kubelets rotate at 5 times 10 MiB.
_LOG_BYTES: Final = 128 << 20
# DNS-1123 label: good for the name of a pod, and for its host name, too.
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_LABEL: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_HASH_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class PodPlace:
    """What all pods of a node have in common.

    Attributes:
        claim: the PersistentVolumeClaim whose volume all machines share.
        shared: where this node has the same volume.
        runtime_class: what jobs run in; "" for each machine's default.
        has_user_namespaces: whether root in a pod is nobody on its machine.
        longest_s: after so long a machine ends a job by itself, whether this node lives or not.
    """

    claim: str
    shared: Path
    runtime_class: str
    has_user_namespaces: bool
    longest_s: int


def pod_name(container_name: str) -> str:
    """A job's name as pods may be called; the name of a pod is left as it is."""
    if _NAME.match(container_name):
        return container_name
    digest = hashlib.sha256(container_name.encode()).hexdigest()[:_HASH_CHARS]
    return f"neurogrid-{digest}"


def check(spec: ContainerSpec) -> None:
    """Refuse what a pod cannot do, before anything is made.

    Raises:
        EngineRefused: ``not_by_this_engine``.
    """
    if spec.gpu_uuids or spec.render_nodes:
        raise _cannot("give a job a GPU that nobody watches or cleans")
    if spec.network_of:
        raise _cannot("let a job share another container's network")
    if not spec.machine:
        raise _cannot("run a job on a machine that nobody chose")
    for value in (spec.node_id, spec.lease_id):
        if not _LABEL.match(value):
            raise _cannot(f"label a pod {value}")


def _cannot(what: str) -> EngineRefused:
    return EngineRefused(f"a cluster does not {what}", code=NOT_BY_THIS_ENGINE)


def pod_body(spec: ContainerSpec, place: PodPlace) -> dict[str, Any]:
    """The body of ``POST /api/v1/namespaces/{namespace}/pods``: made, and not started.

    Raises:
        EngineRefused: ``workspace_not_visible``: its files are not in the shared volume.
    """
    asked = create_arguments(spec)
    host = asked["HostConfig"]
    uid, gid = (int(part) for part in asked["User"].split(":"))
    memory = {f"memory-{number}": each for number, each in enumerate(_memory_places(spec, host))}
    quantities = {
        "cpu": f"{spec.cpu_millis}m",
        "memory": str(host["Memory"]),
        "ephemeral-storage": str(_LOG_BYTES),
    }
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(spec.container_name),
            "labels": {LABEL_LEASE: spec.lease_id, LABEL_NODE: spec.node_id},
            "annotations": {ANNOTATION_IMAGE: spec.image.image_id},
        },
        "spec": {
            "schedulingGates": [{"name": GATE}],
            "affinity": _only_on(spec.machine),
            "tolerations": [
                {
                    "key": f"node.kubernetes.io/{condition}",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _AWAY_S,
                }
                for condition in ("not-ready", "unreachable")
            ],
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE_S,
            "activeDeadlineSeconds": place.longest_s,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostname": asked["Hostname"],
            # Nobody answers there: what a name stands for is no job's business.
            "dnsPolicy": "None",
            "dnsConfig": {"nameservers": ["127.0.0.1"]},
            # Process 1 is the machine's own, which reaps orphans and lets a job's first be sent signals.
            "shareProcessNamespace": True,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": uid,
                "runAsGroup": gid,
                "seccompProfile": {"type": "Localhost", "localhostProfile": SECCOMP_FILE},
            },
            "containers": [
                {
                    "name": CONTAINER_NAME,
                    "image": image_of(spec),
                    "imagePullPolicy": "IfNotPresent",
                    **(
                        {} if asked["Cmd"] is None else {"args": [literal(a) for a in asked["Cmd"]]}
                    ),
                    "env": [_variable(entry) for entry in asked["Env"]],
                    "resources": {"requests": quantities, "limits": dict(quantities)},
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": host["CapDrop"]},
                        "privileged": False,
                        "readOnlyRootFilesystem": host["ReadonlyRootfs"],
                    },
                    "volumeMounts": [
                        *({"name": name, "mountPath": path} for name, (path, _) in memory.items()),
                        *(_file_mount(mount, place) for mount in host["Mounts"]),
                    ],
                }
            ],
            "volumes": [
                *(
                    {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": str(size_bytes)}}
                    for name, (_, size_bytes) in memory.items()
                ),
                {"name": _FILES, "persistentVolumeClaim": {"claimName": place.claim}},
            ],
        },
    }
    if place.runtime_class:
        body["spec"]["runtimeClassName"] = place.runtime_class
    if place.has_user_namespaces:
        body["spec"]["hostUsers"] = False
    return body


def image_of(spec: ContainerSpec) -> str:
    """By its digest alone, so that every machine runs the same bytes."""
    return f"{ImageName.read(spec.image.reference).full_repository}@{spec.image.image_id}"


def literal(text: str) -> str:
    """As a kubelet leaves it: in arguments and variables it would put others' values for ``$(NAME)``."""
    return text.replace("$", "$$")


def _variable(entry: str) -> dict[str, str]:
    """One that the image may not set cannot be taken away, and is empty instead."""
    name, _, value = entry.partition("=")
    return {"name": name, "value": literal(value)}


def _only_on(machine: str) -> dict[str, Any]:
    # Not nodeName, which no pod with a gate may have; the scheduler still looks whether there is room.
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [machine]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"nodeAffinity": required}


def _memory_places(spec: ContainerSpec, host: Mapping[str, Any]) -> list[tuple[str, int]]:
    places = [(path, spec.tmp_bytes) for path in sorted(host["Tmpfs"])]
    return [*places, ("/dev/shm", spec.shared_memory_bytes)]


def _file_mount(mount: Mapping[str, Any], place: PodPlace) -> dict[str, Any]:
    source = Path(mount["Source"])
    if not source.is_relative_to(place.shared):
        raise EngineRefused(
            f"{source} is not in {place.shared}, which the machines share",
            code="workspace_not_visible",
        )
    return {
        "name": _FILES,
        "mountPath": mount["Target"],
        "subPath": str(source.relative_to(place.shared)),
        "readOnly": mount["ReadOnly"],
    }


# What of Docker's own report a pod does not ask for; its machine was seen to do it (trial.py).
_SEEN_ON_TRIAL: Final = ("network", "cgroup_namespace", "swap_bytes", "pids")
# What nobody limits there.
_NOT_HELD: Final = ("ulimits",)


def pod_report(spec: ContainerSpec, place: PodPlace) -> dict[str, Any]:
    """What the job was allowed, for the signed receipt; see `profile_report`."""
    report = profile_report(spec) | {
        "profile": PROFILE_NAME,
        "machine": spec.machine,
        "runtime_class": place.runtime_class,
        "user_namespace": place.has_user_namespaces,
        # Its own, and the machine's process 1 of it.
        "ipc": "pod",
        "log_bytes": _LOG_BYTES,
    }
    for name in (*_SEEN_ON_TRIAL, *_NOT_HELD):
        del report[name]
    return report | {"seen_on_trial": list(_SEEN_ON_TRIAL)}


def told_to_start() -> dict[str, Any]:
    """A merge patch: its gate is taken away."""
    return {"spec": {"schedulingGates": None}}


def told_to_end(now_ns: int) -> dict[str, Any]:
    """A merge patch: its time is over. It keeps how it ended, which one that is deleted would not."""
    return {
        "metadata": {"labels": {LABEL_STOPPED: str(now_ns)}},
        "spec": {"activeDeadlineSeconds": 1},
    }


def changed_on_the_way(asked: Any, made: Any, path: str = "") -> str:
    """Where a pod is not what was asked for, or "". Defaults that a server fills in are no change, but lists
    have to be as they were: a container, a volume or an identity more is somebody else's in the job's place.
    """
    if isinstance(asked, dict):
        if not isinstance(made, dict):
            return path or "it"
        for key, value in asked.items():
            if where := changed_on_the_way(value, made.get(key), f"{path}.{key}".lstrip(".")):
                return where
        return _added(made, path)
    if isinstance(asked, list):
        if not isinstance(made, list):
            return path
        if path.endswith("tolerations"):
            # A cluster may add its own; none of them lets a job run where it was not sent.
            made = made[: len(asked)]
        if len(made) != len(asked):
            return path
        for number, (ours, theirs) in enumerate(zip(asked, made, strict=True)):
            if where := changed_on_the_way(ours, theirs, f"{path}[{number}]"):
                return where
        return ""
    if path.endswith(_QUANTITIES):
        # A server writes them in its own way: 2000m is 2.
        return "" if read_quantity(str(made)) == read_quantity(asked) else path
    if made is None and not asked and path.endswith(_OMITTED):
        return ""
    if made == "Always" and path.endswith(".imagePullPolicy"):
        # A cluster may ask the registry each time whether a pod may have an image (AlwaysPullImages).
        return ""
    return "" if asked == made else path


# What is empty there is not written back, and means the same (core/v1: ``omitempty``, and no pointer).
_OMITTED: Final = (".value", ".readOnly")
_QUANTITIES: Final = (".cpu", ".memory", ".ephemeral-storage", ".sizeLimit")
# What nobody may give to a job that did not ask for it; by the object that it would be in.
_NOT_TO_BE_ADDED: Final = {
    "spec": (
        "initContainers",
        "ephemeralContainers",
        "imagePullSecrets",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostAliases",
        "resourceClaims",
    ),
    "spec.containers[0]": ("envFrom", "volumeDevices", "lifecycle", "command", "ports"),
    "spec.securityContext": ("supplementalGroups", "fsGroup", "sysctls"),
    "spec.containers[0].securityContext": (
        "seccompProfile",
        "procMount",
        "runAsUser",
        "runAsGroup",
    ),
    "spec.containers[0].securityContext.capabilities": ("add",),
}


def _added(made: Mapping[str, Any], path: str) -> str:
    for name in _NOT_TO_BE_ADDED.get(path, ()):
        if made.get(name):
            return f"{path}.{name}"
    return ""
