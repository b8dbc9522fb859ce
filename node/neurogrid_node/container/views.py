"""What the engine says, parsed into values. Pure.

The engine is a program on the same machine, of a version we do not choose: a field that is missing
gets its harmless value, and what must be there raises KeyError at this door, not later.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.offer import MAX_IMAGES
from neurogrid_node.container.errors import EngineUnavailable
from neurogrid_node.container.logs import parse_time_ns
from neurogrid_node.container.outcome import Exit
from neurogrid_node.container.spec import CONTAINER_NAME_PREFIX, LABEL_LEASE, ImageInfo
from neurogrid_node.container.user_namespaces import (
    ROOT,
    USERNS_RUNTIME,
    RootIds,
    remapped_root,
)

# A runtime's name that an offer can carry (marketplace `Word`).
_RUNTIME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}", re.ASCII)
# An image's name that an offer can carry (marketplace `ImageRef`).
_IMAGE: Final = re.compile(r"[a-z0-9][A-Za-z0-9._:/@-]{0,511}", re.ASCII)
# The kernel's word for a machine -> that of images.
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
# Warnings of `GET /info` that mean one of our limits is not enforced.
_LIMITS: Final = ("memory limit", "swap limit", "pids limit", "cpu cfs")
_NO_SECCOMP: Final = "the engine or kernel has no seccomp"
_NO_LIVE_RESTORE: Final = (
    'an engine restart ends running jobs: set "live-restore": true in daemon.json'
)
_ROOTLESS: Final = "the engine is rootless: its jobs cannot reach their directories"


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
        job_runtimes: the one that our jobs run in: the owner's choice, else the engine's default. Empty where
            it is not told.
        architecture: of what runs here, as registries write it.
        data_root: where images are unpacked; its free space bounds pulls.
        unlimited: the engine's own warnings about limits it cannot enforce.
        live_restore: whether containers outlive its restart.
        is_rootless: whether it runs as somebody else than root.
        root_ids: whom the host takes root in its containers for.
    """

    version: str
    cgroup_version: str
    storage_driver: str
    runtimes: tuple[str, ...]
    job_runtimes: tuple[str, ...]
    architecture: str
    data_root: str
    unlimited: tuple[str, ...]
    cgroup_driver: str
    has_seccomp: bool
    live_restore: bool
    is_rootless: bool
    root_ids: RootIds

    @property
    def unenforced(self) -> tuple[str, ...]:
        """What keeps no job in its place; not empty means that this machine must not run jobs."""
        return self.unlimited if self.has_seccomp else (*self.unlimited, _NO_SECCOMP)

    @property
    def is_remapped(self) -> bool:
        """Whether root in its containers is somebody else on the machine."""
        return self.root_ids != ROOT

    @property
    def offered(self) -> tuple[str, ...]:
        """What jobs run in, in the words of an offer."""
        return (*self.job_runtimes, *([USERNS_RUNTIME] if self.is_remapped else []))

    @property
    def advice(self) -> tuple[str, ...]:
        """What an operator should change, in sentences."""
        return (
            *(() if self.live_restore else (_NO_LIVE_RESTORE,)),
            *((_ROOTLESS,) if self.is_rootless else ()),
        )


def engine_info(info: Mapping[str, Any]) -> EngineInfo:
    """From `GET /info`."""
    warnings = [str(warning) for warning in info.get("Warnings") or ()]
    security = " ".join(info.get("SecurityOptions") or ())
    machine = str(info.get("Architecture", ""))
    data_root = str(info.get("DockerRootDir", ""))
    return EngineInfo(
        version=str(info.get("ServerVersion", "")),
        cgroup_version=str(info.get("CgroupVersion", "1")),
        storage_driver=str(info.get("Driver", "")),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        job_runtimes=tuple(filter(_RUNTIME.fullmatch, [str(info.get("DefaultRuntime") or "")])),
        architecture=_ARCHITECTURES.get(machine, machine),
        data_root=data_root,
        unlimited=tuple(
            warning
            for warning in warnings
            if any(limit in warning.lower() for limit in _LIMITS) and "no " in warning.lower()
        ),
        cgroup_driver=str(info.get("CgroupDriver", "")),
        has_seccomp="name=seccomp" in security,
        live_restore=bool(info.get("LiveRestoreEnabled", False)),
        is_rootless="name=rootless" in security,
        root_ids=remapped_root(data_root) if "name=userns" in security else ROOT,
    )


def in_runtime(info: EngineInfo, runtime: str) -> EngineInfo:
    """The engine as it is for jobs that ask for this runtime; "": they ask for none.

    Raises:
        EngineUnavailable: it has no such runtime.
    """
    if not runtime:
        return info
    if runtime not in info.runtimes:
        raise EngineUnavailable(
            f"the engine has no runtime {runtime!r}, in which [engine] runtime lets jobs run; it has "
            f'{", ".join(info.runtimes)}. Install it and name it under "runtimes" in /etc/docker/daemon.json, or '
            "change node.toml"
        )
    return replace(info, job_runtimes=(runtime,))


def image_info(reference: str, found: Mapping[str, Any]) -> ImageInfo:
    """From `GET /images/{name}/json`."""
    configuration = found.get("Config") or {}
    digests = _digests(reference, found.get("RepoDigests") or ())
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


def _digests(reference: str, entries: Iterable[str]) -> list[str]:
    """What the engine knows an image by in registries, that of the asked repository first."""
    try:
        wanted = ImageName.read(reference)
    except InvalidValue:
        wanted = None
    ranked = []
    for entry in entries:
        repository, _, digest = str(entry).partition("@")
        is_wanted = wanted is not None and digest == wanted.digest
        is_near = wanted is not None and _repository(repository) == wanted.full_repository
        ranked.append((not is_wanted, not is_near, digest))
    return [digest for *_, digest in sorted(ranked, key=lambda item: item[:2])]


def _repository(text: str) -> str:
    try:
        return ImageName.read(text).full_repository
    except InvalidValue:
        return ""


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
    return named_containers(found, CONTAINER_NAME_PREFIX)


def named_containers(found: Iterable[Mapping[str, Any]], prefix: str) -> tuple[LeaseContainer, ...]:
    """The same of containers with another prefix: the leases' links."""
    leases = []
    for entry in found:
        lease_id = (entry.get("Labels") or {}).get(LABEL_LEASE, "")
        if f"/{prefix}{lease_id}" in (entry.get("Names") or ()):
            state = ContainerState(entry["State"])
            leases.append(LeaseContainer(str(lease_id), str(entry["Id"]), state))
    return tuple(sorted(leases, key=lambda lease: lease.lease_id))


def forsaken_containers(found: Iterable[Mapping[str, Any]], before_s: float) -> tuple[str, ...]:
    """The ids of those of ours that were made before that time, from `GET /containers/json`."""
    return tuple(
        str(entry["Id"])
        for entry in found
        if int(entry["Created"]) < before_s
        and (entry.get("Labels") or {}).get(LABEL_LEASE)
        and any(name.startswith(f"/{CONTAINER_NAME_PREFIX}") for name in entry.get("Names") or ())
    )
