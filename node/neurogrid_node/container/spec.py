"""One job's container as it is asked for, checked. Pure; `profile` says what it may do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neurogrid_marketplace.gang import GangPlace
from neurogrid_marketplace.network import Network

LABEL_LEASE: Final = "io.neurogrid.lease"
LABEL_NODE: Final = "io.neurogrid.node"
CONTAINER_NAME_PREFIX: Final = "neurogrid-"
# In place of a node's peer id: of programs that try the machine where there is no node yet.
DOCTOR: Final = "doctor"
BENCHMARK: Final = "benchmark"

# nobody:nogroup, the ids that own nothing on any host.
NOBODY: Final = "65534:65534"

_MIB: Final = 1 << 20
# runc itself needs about 4 MiB inside the memory limit; the engine refuses less than 6 MiB.
MEMORY_BYTES_MIN: Final = 16 * _MIB
PIDS_MAX: Final = 4096
_TMP_BYTES_MAX: Final = 1 << 30
# Each is a tmpfs; an image that declares more is not made for jobs.
_IMAGE_VOLUMES_MAX: Final = 16
# Linux refuses 128 KiB per argument and ~2 MiB in all; these keep a create request small.
_COMMAND_ARGUMENTS_MAX: Final = 1024
_COMMAND_BYTES_MAX: Final = 128 * 1024
_ENVIRONMENT_ENTRIES_MAX: Final = 256
_ENVIRONMENT_BYTES_MAX: Final = 128 * 1024

_LEASE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_NODE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
_GPU_UUID: Final = re.compile(r"(GPU|MIG)-[A-Za-z0-9/-]{1,80}\Z")
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{64}\Z")
# AMD's, by number or by place; the kernel gives their render nodes the minor numbers 128 to 191.
_AMD_UUID: Final = re.compile(r"AMD-[0-9a-f:.]{1,80}\Z")
RENDER_MINORS: Final = range(128, 192)
_GROUP_MAX: Final = 2**31 - 1
_USER: Final = re.compile(r"[1-9][0-9]{0,9}:[1-9][0-9]{0,9}\Z")


class SpecError(ValueError):
    """A container was asked for that we never create; ``code`` is stable, for the wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that is on this machine.

    Attributes:
        reference: what it was asked for by.
        image_id: ``sha256:`` id of its configuration; what containers are created from, so that a
            tag that moves between looking and creating changes nothing.
        digest: ``sha256:`` digest of the manifest in its registry; None for one built here.
        size_bytes: unpacked.
        environment: names of the variables that the image sets.
        volumes: paths that the image declares as volumes.
    """

    reference: str
    image_id: str
    digest: str | None
    size_bytes: int
    environment: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RenderNode:
    """A GPU of AMD's as it is given to a container: /dev/kfd and this node of its own.

    The kernel lets a program compute on those GPUs alone whose render nodes its control group allows
    (kfd_devcgroup_check_permission), so that what others have stays out of reach.

    Attributes:
        minor: of /dev/dri/renderD*.
        groups: that may open the two nodes; none where everybody may.

    Raises:
        SpecError: on construction: ``bad_gpu``.
    """

    uuid: str
    minor: int
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not _AMD_UUID.match(self.uuid):
            raise SpecError("bad_gpu", f"not a GPU of AMD's: {self.uuid!r}")
        if self.minor not in RENDER_MINORS:
            raise SpecError("bad_gpu", f"not a render node: {self.minor}")
        # Root's group opens more than a GPU.
        if not all(0 < group <= _GROUP_MAX for group in self.groups):
            raise SpecError("bad_gpu", f"not groups that a job may be in: {self.groups}")


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One job's container, checked.

    Attributes:
        lease_id: also names the container, so that creating it twice finds the first.
        node_id: this node's peer id; the label a restarted daemon adopts by.
        command: arguments to the image's entrypoint; None runs the image's own command.
        environment: (name, value) pairs from the client.
        cpu_millis: thousandths of a core.
        memory_bytes: the hard limit, without swap; /tmp and /dev/shm count against it.
        pids: processes and threads together.
        disk_bytes: what `outputs_path` may hold (workspace.py enforces it).
        gpu_uuids: exactly these of NVIDIA's are visible.
        render_nodes: exactly these of AMD's are.
        inputs_path: host directory, read-only at /inputs.
        outputs_path: host directory, writable at /outputs.
        notice_path: of a job that may be reclaimed: host directory, read-only at /run/neurogrid.
        reclaim_window_s: how long after its notice such a job is stopped.
        checkpoint_path: of a job that keeps its work: host directory, writable at ``checkpoint_target``.
        resumed: number of the checkpoint that such a job begins from, 0 for none.
        user: numeric ``uid:gid``, never root.
        place: its place in a gang.
        network: hosts that it may reach.
        network_of: the id of the container whose network it shares, its link to either; "" where it has
            neither, and then no network.
        machine: of a fleet, the one on which it runs; "" where there is only this one.

    Raises:
        SpecError: on construction, with a code.
    """

    lease_id: str
    node_id: str
    image: ImageInfo
    command: tuple[str, ...] | None
    environment: tuple[tuple[str, str], ...]
    cpu_millis: int
    memory_bytes: int
    pids: int
    disk_bytes: int
    gpu_uuids: tuple[str, ...] = ()
    render_nodes: tuple[RenderNode, ...] = ()
    inputs_path: Path | None = None
    outputs_path: Path | None = None
    user: str = NOBODY
    place: GangPlace | None = None
    network: Network | None = None
    network_of: str = ""
    notice_path: Path | None = None
    reclaim_window_s: int = 0
    checkpoint_path: Path | None = None
    checkpoint_target: str = ""
    resumed: int = 0
    machine: str = ""

    def __post_init__(self) -> None:
        check_lease_id(self.lease_id)
        if not _NODE_ID.match(self.node_id):
            raise SpecError("bad_node_id", f"not a node id: {self.node_id!r}")
        if not _USER.match(self.user):
            raise SpecError("bad_user", f"a job runs as a numeric user, not root: {self.user!r}")
        if self.cpu_millis < 10:
            raise SpecError("bad_cpu", "a job needs at least 10 thousandths of a core")
        if self.memory_bytes < MEMORY_BYTES_MIN:
            raise SpecError("bad_memory", f"a job needs at least {MEMORY_BYTES_MIN} bytes")
        # Four: init, the job, and room for the runtime to join.
        if not 4 <= self.pids <= PIDS_MAX:
            raise SpecError("bad_pids", f"pids is 4 to {PIDS_MAX}, not {self.pids}")
        if self.disk_bytes < 0:
            raise SpecError("bad_disk", "disk_bytes is negative")
        _check_command(self.command)
        _check_environment(self.environment)
        if len(set(self.gpu_uuids)) != len(self.gpu_uuids):
            raise SpecError("bad_gpu", "a GPU is listed twice")
        for uuid in self.gpu_uuids:
            if not _GPU_UUID.match(uuid):
                raise SpecError("bad_gpu", f"not a GPU UUID: {uuid!r}")
        if len({node.minor for node in self.render_nodes}) != len(self.render_nodes):
            raise SpecError("bad_gpu", "a render node is listed twice")
        for path in (self.inputs_path, self.outputs_path, self.notice_path, self.checkpoint_path):
            if path is not None and not path.is_absolute():
                raise SpecError("bad_path", f"not an absolute path: {path}")
        _check_volumes(self.image.volumes)
        if (self.place is None and self.network is None) is not (self.network_of == ""):
            raise SpecError(
                "bad_network",
                "who has a gang or hosts to reach has its link's network, nobody else",
            )
        if self.network_of and not _CONTAINER_ID.match(self.network_of):
            raise SpecError("bad_network", f"not a container's id: {self.network_of!r}")

    @property
    def container_name(self) -> str:
        return CONTAINER_NAME_PREFIX + self.lease_id

    @property
    def tmp_bytes(self) -> int:
        """Size of /tmp: a quarter of the memory it counts against, 1 GiB at most."""
        return min(self.memory_bytes // 4, _TMP_BYTES_MAX)

    @property
    def shared_memory_bytes(self) -> int:
        """Size of /dev/shm: half the memory, because PyTorch's loaders pass batches through it."""
        return self.memory_bytes // 2

    @property
    def file_bytes_max(self) -> int:
        """The largest single file.

        A little above the disk, so that a job at its limit is told "no space left" by the
        filesystem, and not killed by SIGXFSZ. Not below the memory: it also holds in /dev/shm.
        """
        return max(self.disk_bytes + self.disk_bytes // 64 + _MIB, self.memory_bytes)


def check_lease_id(lease_id: str) -> None:
    """A lease id becomes a container name and a directory name, so its alphabet is small.

    Raises:
        SpecError: ``bad_lease_id``.
    """
    if not _LEASE_ID.match(lease_id):
        raise SpecError("bad_lease_id", f"not a lease id: {lease_id!r}")


def is_reserved_variable(name: str) -> bool:
    """Whether neither a client nor an image may set this variable.

    NVIDIA_* chooses devices and driver parts, and LD_PRELOAD, LD_AUDIT and their kin were run by
    the NVIDIA toolkit's privileged hook on the host (CVE-2025-23266). LD_LIBRARY_PATH stays: CUDA
    images need theirs.
    """
    return name.startswith("NVIDIA_") or (name.startswith("LD_") and name != "LD_LIBRARY_PATH")


def _check_command(command: tuple[str, ...] | None) -> None:
    if command is None:
        return
    if not 1 <= len(command) <= _COMMAND_ARGUMENTS_MAX:
        raise SpecError("bad_command", f"a command has 1 to {_COMMAND_ARGUMENTS_MAX} arguments")
    if not command[0] or any("\0" in argument for argument in command):
        raise SpecError("bad_command", "an empty program name, or a zero byte in an argument")
    if sum(len(argument.encode()) for argument in command) > _COMMAND_BYTES_MAX:
        raise SpecError("bad_command", f"a command is at most {_COMMAND_BYTES_MAX} bytes")


def _check_environment(environment: Iterable[tuple[str, str]]) -> None:
    seen: set[str] = set()
    size = 0
    for name, value in environment:
        if not _VARIABLE.match(name) or "\0" in value:
            raise SpecError("bad_environment", f"not an environment variable: {name!r}")
        if is_reserved_variable(name):
            raise SpecError("reserved_environment", f"{name} is set by the node alone")
        if name in seen:
            raise SpecError("bad_environment", f"{name} is set twice")
        seen.add(name)
        size += len(name) + len(value.encode())
    if len(seen) > _ENVIRONMENT_ENTRIES_MAX or size > _ENVIRONMENT_BYTES_MAX:
        raise SpecError(
            "bad_environment",
            f"at most {_ENVIRONMENT_ENTRIES_MAX} variables, {_ENVIRONMENT_BYTES_MAX} bytes in all",
        )


def _check_volumes(volumes: tuple[str, ...]) -> None:
    if len(volumes) > _IMAGE_VOLUMES_MAX:
        raise SpecError("image_volumes", f"the image declares over {_IMAGE_VOLUMES_MAX} volumes")
    for volume in volumes:
        parts = volume.split("/")
        reserved = any(volume == t or volume.startswith(t + "/") for t in ("/proc", "/sys", "/dev"))
        if not volume.startswith("/") or volume == "/" or ".." in parts or reserved:
            raise SpecError("image_volumes", f"the image declares {volume!r} as a volume")
