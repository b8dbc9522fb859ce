"""A job as a service of a swarm: one task on one machine, never started again. Pure.

What is said of a container on Docker is said of the task as far as the services' API can (1.41). What it
cannot say each machine's engine has to do by itself; `trial` finds out whether it does, and only machines
on which it does are offered. docs/fleet.md has the list.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from neurogrid_marketplace.image_name import ImageName
from neurogrid_node.container.errors import EngineRefused
from neurogrid_node.container.profile import create_arguments, profile_report
from neurogrid_node.container.spec import ContainerSpec

PROFILE_NAME: Final = "neurogrid-swarm-1"
# What a service's tasks are created from, so that making it again can tell whether it is the same.
LABEL_IMAGE: Final = "io.neurogrid.image"
# When its job was seen to run, Unix time in ns: a task forgets it when it ends.
LABEL_STARTED: Final = "io.neurogrid.started"
# When we told it to end, and how it then ended (code:ns): a swarm forgets tasks that it was told to end.
LABEL_STOPPED: Final = "io.neurogrid.stopped"
LABEL_ENDED: Final = "io.neurogrid.ended"

# How long a task has to end by itself, fixed when it is made: what leases give their jobs.
GRACE_S: Final = 3
_NS: Final = 1_000_000_000
# moby's own (daemon/cluster, swarmkit's validation of names).
_NAME: Final = re.compile(r"[A-Za-z0-9]+(?:[A-Za-z0-9_-]*[A-Za-z0-9])?")
_NAME_CHARS_MAX: Final = 63
NOT_BY_THIS_ENGINE: Final = "not_by_this_engine"


def check(spec: ContainerSpec) -> None:
    """Refuse what a service cannot do, before anything is made.

    Raises:
        EngineRefused: ``not_by_this_engine``.
    """
    if spec.gpu_uuids or spec.render_nodes:
        raise _cannot("give a job a GPU that nobody watches or cleans")
    if spec.network_of:
        raise _cannot("let a job share another container's network")
    if not spec.machine:
        raise _cannot("run a job on a machine that nobody chose")
    name = spec.container_name
    if len(name) > _NAME_CHARS_MAX or not _NAME.fullmatch(name):
        raise _cannot(f"name a service {name}")


def _cannot(what: str) -> EngineRefused:
    return EngineRefused(f"a swarm does not {what}", code=NOT_BY_THIS_ENGINE)


def service_body(spec: ContainerSpec) -> dict[str, Any]:
    """The body of ``POST /services/create`` (API 1.41): made, and not started."""
    container = create_arguments(spec)
    host = container["HostConfig"]
    log = host["LogConfig"]
    return {
        "Name": spec.container_name,
        "Labels": container["Labels"] | {LABEL_IMAGE: spec.image.image_id},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image_of(spec),
                "Args": container["Cmd"],
                "Env": container["Env"],
                "User": container["User"],
                "Hostname": container["Hostname"],
                "Labels": container["Labels"],
                "Healthcheck": container["Healthcheck"],
                "ReadOnly": host["ReadonlyRootfs"],
                "Init": host["Init"],
                "CapabilityDrop": host["CapDrop"],
                "Ulimits": host["Ulimits"],
                "Mounts": [*host["Mounts"], *_memory_mounts(spec, host["Tmpfs"])],
                "StopGracePeriod": GRACE_S * _NS,
            },
            "Resources": {
                "Limits": {
                    "NanoCPUs": host["NanoCpus"],
                    "MemoryBytes": host["Memory"],
                    "Pids": host["PidsLimit"],
                },
                # Also for the owner's own services, which the swarm places beside ours.
                "Reservations": {"NanoCPUs": host["NanoCpus"], "MemoryBytes": host["Memory"]},
            },
            "RestartPolicy": {"Condition": "none"},
            "Placement": {"Constraints": [f"node.id=={spec.machine}"]},
            "LogDriver": {"Name": log["Type"], "Options": log["Config"]},
        },
        "Mode": {"Replicated": {"Replicas": 0}},
    }


def image_of(spec: ContainerSpec) -> str:
    """What every machine takes for the same image: its digest in a registry, from where it is pulled by
    whoever lacks it; else its id, which is never pulled."""
    if spec.image.digest is None:
        return spec.image.image_id
    return f"{ImageName.read(spec.image.reference).full_repository}@{spec.image.digest}"


def _memory_mounts(spec: ContainerSpec, tmpfs: Mapping[str, str]) -> list[dict[str, Any]]:
    """/tmp, the image's volumes and /dev/shm. Programs in them cannot be run: the API has no word for it."""

    def mount(target: str, size_bytes: int) -> dict[str, Any]:
        options = {"SizeBytes": size_bytes, "Mode": 0o1777}
        return {"Type": "tmpfs", "Target": target, "TmpfsOptions": options}

    places = [mount(target, spec.tmp_bytes) for target in sorted(tmpfs)]
    return [*places, mount("/dev/shm", spec.shared_memory_bytes)]


# What of Docker's own report a service does not ask for; its machine was seen to do it (trial.py).
_SEEN_ON_TRIAL: Final = (
    "no_new_privileges",
    "seccomp_sha256",
    "network",
    "ipc",
    "cgroup_namespace",
    "swap_bytes",
)


def service_report(spec: ContainerSpec) -> dict[str, Any]:
    """What the job was allowed, for the signed receipt; see `profile_report`."""
    report = profile_report(spec) | {"profile": PROFILE_NAME, "machine": spec.machine}
    for name in _SEEN_ON_TRIAL:
        del report[name]
    return report | {"seen_on_trial": list(_SEEN_ON_TRIAL)}


def told_to_start(service: Mapping[str, Any]) -> dict[str, Any]:
    """The service's specification, with one task."""
    return _changed(service, 1, {})


def told_to_end(service: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    """With none, and marked: a service without tasks looks like one that was never started."""
    return _changed(service, 0, {LABEL_STOPPED: str(now_ns)})


def with_labels(service: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """With further labels; its task is left alone."""
    return _changed(service, replicas(service), labels)


def replicas(service: Mapping[str, Any]) -> int:
    """How many tasks it is to have."""
    return int(service["Spec"]["Mode"]["Replicated"].get("Replicas", 1))


def labels_of(service: Mapping[str, Any]) -> Mapping[str, str]:
    """Of the service itself."""
    return service["Spec"].get("Labels") or {}


def _changed(service: Mapping[str, Any], count: int, labels: Mapping[str, str]) -> dict[str, Any]:
    spec = dict(service["Spec"])
    return spec | {
        "Labels": {**labels_of(service), **labels},
        "Mode": {"Replicated": {"Replicas": count}},
    }
