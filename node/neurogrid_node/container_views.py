"""What the engine says, parsed into values. Pure.

The engine is a program on the same machine, of a version we do not choose: a field that is missing
gets its harmless value, and what must be there raises KeyError at this door, not later.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from neurogrid_marketplace.offer import MAX_IMAGES
from neurogrid_node.container_logs import parse_time_ns
from neurogrid_node.container_outcome import Exit
from neurogrid_node.container_profile import (
    CONTAINER_NAME_PREFIX,
    LABEL_LEASE,
    ImageInfo,
)
from neurogrid_node.gang_profile import LINK_NAME_PREFIX

# A runtime's name that an offer can carry (marketplace `Word`).
_RUNTIME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", re.ASCII)
# An image's name that an offer can carry (marketplace `ImageRef`).
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,511}", re.ASCII)
# Warnings of `GET /info` that mean one of our limits is not enforced.
_LIMITS: Final = ("memory limit", "swap limit", "pids limit", "cpu cfs")


class ContainerState(StrEnum):
    """The engine's words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container now.

    Attributes:
        lease_id: from its label; empty when it is not ours.
        pid: of its init on the host; 0 when it does not run.
        ended: how it ended; None while it has not, also when it was never started.
    """

    container_id: str
    lease_id: str
    image_id: str
    state: ContainerState
    pid: int
    ended: Exit | None


@dataclass(frozen=True, slots=True)
class LeaseContainer:
    """One of this node's containers, found by its labels."""

    lease_id: str
    container_id: str
    state: ContainerState


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """The engine, and what it lacks.

    Attributes:
        runtimes: names, such as ``runc``, ``nvidia``, ``runsc``.
        job_runtimes: the one that our jobs run in, which is the engine's default: they ask for none.
            Empty where it is not told.
        data_root: where images are unpacked; its free space bounds pulls.
        unenforced: the engine's own warnings about limits it cannot enforce; not empty means that
            this machine must not run jobs.
        advice: what an operator should change, in sentences.
    """

    version: str
    cgroup_version: str
    storage_driver: str
    runtimes: tuple[str, ...]
    job_runtimes: tuple[str, ...]
    data_root: str
    unenforced: tuple[str, ...]
    advice: tuple[str, ...]


def engine_info(info: Mapping[str, Any]) -> EngineInfo:
    """From `GET /info`."""
    warnings = [str(warning) for warning in info.get("Warnings") or ()]
    security = " ".join(info.get("SecurityOptions") or ())
    unenforced = [
        warning
        for warning in warnings
        if any(limit in warning.lower() for limit in _LIMITS) and "no " in warning.lower()
    ]
    if "name=seccomp" not in security:
        unenforced.append("the engine or kernel has no seccomp")
    advice = []
    if not info.get("LiveRestoreEnabled", False):
        advice.append(
            'an engine restart ends running jobs: set "live-restore": true in daemon.json'
        )
    for option in ("userns", "rootless"):
        if f"name={option}" in security:
            advice.append(f"the engine uses {option}: its jobs cannot reach their directories")
    return EngineInfo(
        version=str(info.get("ServerVersion", "")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        storage_driver=str(info.get("Driver", "")),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        job_runtimes=tuple(filter(_RUNTIME.fullmatch, [str(info.get("DefaultRuntime") or "")])),
        data_root=str(info.get("DockerRootDir", "")),
        unenforced=tuple(unenforced),
        advice=tuple(advice),
    )


def image_info(reference: str, found: Mapping[str, Any]) -> ImageInfo:
    """From `GET /images/{name}/json`."""
    configuration = found.get("Config") or {}
    digests = [entry.partition("@")[2] for entry in found.get("RepoDigests") or ()]
    return ImageInfo(
        reference=reference,
        image_id=str(found["Id"]),
        digest=digests[0] if digests else None,
        size_bytes=int(found.get("Size", 0)),
        environment=tuple(
            sorted(entry.partition("=")[0] for entry in configuration.get("Env") or ())
        ),
        volumes=tuple(sorted(configuration.get("Volumes") or ())),
    )


def container_view(found: Mapping[str, Any]) -> ContainerView:
    """From `GET /containers/{id}/json`."""
    state = found["State"]
    container_id = str(found["Id"])
    status = ContainerState(state["Status"])
    ended = None
    if status in (ContainerState.EXITED, ContainerState.DEAD):
        ended = Exit(
            container_id=container_id,
            code=int(state["ExitCode"]),
            oom_killed=bool(state.get("OOMKilled", False)),
            started_at_ns=parse_time_ns(str(state.get("StartedAt", ""))),
            finished_at_ns=parse_time_ns(str(state.get("FinishedAt", ""))),
            error=str(state.get("Error", "")),
        )
    return ContainerView(
        container_id=container_id,
        lease_id=str((found["Config"].get("Labels") or {}).get(LABEL_LEASE, "")),
        image_id=str(found["Image"]),
        state=status,
        pid=int(state.get("Pid", 0)),
        ended=ended,
    )


def image_names(found: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """From `GET /images/json`: tags and digests that an offer can name, the newest images' first.

    ``<none>`` and names that no job may ask for are left out.
    """
    newest_first = sorted(found, key=lambda entry: -int(entry.get("Created", 0)))
    names = (
        str(name)
        for entry in newest_first
        for name in (*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ()))
    )
    return tuple(dict.fromkeys(filter(_IMAGE.fullmatch, names)))[:MAX_IMAGES]


def lease_containers(found: Iterable[Mapping[str, Any]]) -> tuple[LeaseContainer, ...]:
    """From `GET /containers/json`, filtered by our node label.

    A container takes over its image's labels, so a label alone proves nothing: the name must be
    the lease's too.
    """
    return _named(found, CONTAINER_NAME_PREFIX)


def link_containers(found: Iterable[Mapping[str, Any]]) -> tuple[LeaseContainer, ...]:
    """The same of the leases' links."""
    return _named(found, LINK_NAME_PREFIX)


def _named(found: Iterable[Mapping[str, Any]], prefix: str) -> tuple[LeaseContainer, ...]:
    leases = []
    for entry in found:
        lease_id = (entry.get("Labels") or {}).get(LABEL_LEASE, "")
        if f"/{prefix}{lease_id}" in (entry.get("Names") or ()):
            state = ContainerState(entry["State"])
            leases.append(LeaseContainer(str(lease_id), str(entry["Id"]), state))
    return tuple(sorted(leases, key=lambda lease: lease.lease_id))
