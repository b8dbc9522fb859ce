"""What a job's container may do: a checked spec in, the engine's create request out. Pure.

Nothing a client or an image says reaches the engine's host configuration except through
`ContainerSpec`: there is no pass-through. The same hardening applies to every job and cannot be
switched off; `profile_report` states it for the signed receipt, and tests/engine asserts it from
inside a container.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurogrid_marketplace.gang import GangPlace
from neurogrid_node.container_seccomp import seccomp_json, seccomp_sha256

LABEL_LEASE: Final = "io.neurogrid.lease"
LABEL_NODE: Final = "io.neurogrid.node"
CONTAINER_NAME_PREFIX: Final = "neurogrid-"

INPUTS_TARGET: Final = "/inputs"
OUTPUTS_TARGET: Final = "/outputs"
# Where a job that may be reclaimed finds a file when it is.
NOTICE_TARGET: Final = "/run/neurogrid"
NOTICE_NAME: Final = "reclaim.json"
# nobody:nogroup, the ids that own nothing on any host.
NOBODY: Final = "65534:65534"

PROFILE_NAME: Final = "neurogrid-hardened-1"

_MIB: Final = 1 << 20
# runc itself needs about 4 MiB inside the memory limit; the engine refuses less than 6 MiB.
MEMORY_BYTES_MIN: Final = 16 * _MIB
# The engine's file of one job's output, twice: a job that prints without end costs 16 MiB.
_LOG_FILE_MIB: Final = 8
_LOG_FILES: Final = 2
# A second fence behind the pids cgroup. The kernel counts it per user over *all* containers
# (they share uid 65534), so it is far above one lease's own limit: a lease must not starve another.
_PROCESSES_OF_USER_MAX: Final = 8_192
PIDS_MAX: Final = 4096
# Not more: an engine without CAP_SYS_RESOURCE cannot raise its own hard limit, 20,000 where measured.
_OPEN_FILES_MAX: Final = 16_384
# Positive needs no privilege: on a machine out of memory the kernel kills jobs before the daemon.
_OOM_SCORE_ADJ: Final = 500
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
_USER: Final = re.compile(r"[1-9][0-9]{0,9}:[1-9][0-9]{0,9}\Z")
# Where the engine, the kernel or this profile mounts something itself.
_RESERVED_TARGETS: Final = ("/proc", "/sys", "/dev", "/tmp", INPUTS_TARGET, OUTPUTS_TARGET)


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
        gpu_uuids: exactly these devices are visible.
        inputs_path: host directory, read-only at /inputs.
        outputs_path: host directory, writable at /outputs.
        notice_path: of a job that may be reclaimed: host directory, read-only at /run/neurogrid.
        reclaim_window_s: how long after its notice such a job is stopped.
        user: numeric ``uid:gid``, never root.
        place: its place in a gang.
        network_of: the id of the container whose network it shares, its link to the gang; "" where it
            has no place, and then no network.

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
    inputs_path: Path | None = None
    outputs_path: Path | None = None
    user: str = NOBODY
    place: GangPlace | None = None
    network_of: str = ""
    notice_path: Path | None = None
    reclaim_window_s: int = 0

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
        for path in (self.inputs_path, self.outputs_path, self.notice_path):
            if path is not None and not path.is_absolute():
                raise SpecError("bad_path", f"not an absolute path: {path}")
        _check_volumes(self.image.volumes)
        if (self.place is None) is not (self.network_of == ""):
            raise SpecError(
                "bad_network", "a gang's member has its link's network, and nobody else"
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


def create_arguments(spec: ContainerSpec) -> dict[str, Any]:
    """The body of the engine's ``POST /containers/create`` (API 1.41)."""
    return {
        "Image": spec.image.image_id,
        "Cmd": None if spec.command is None else list(spec.command),
        "Env": _environment(spec),
        "User": spec.user,
        # A network's name and hosts are those of the container that holds it.
        "Hostname": "" if spec.network_of else "job",
        "Labels": {LABEL_LEASE: spec.lease_id, LABEL_NODE: spec.node_id},
        "NetworkDisabled": not spec.network_of,
        # The image's own health check would run commands beside the job.
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": _host_configuration(spec),
    }


def _environment(spec: ContainerSpec) -> list[str]:
    """The client's variables, ours, and a bare name for each that the image may not set.

    The engine *removes* an image's variable when the request names it without a value.
    """
    ours = {
        # Nobody has no home, and the root is read-only.
        "HOME": "/tmp",
        # Explicit also without GPUs: unset, older CUDA images mean "all" to the NVIDIA runtime.
        "NVIDIA_VISIBLE_DEVICES": ",".join(spec.gpu_uuids) or "void",
    }
    if spec.gpu_uuids:
        ours["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"
    if spec.notice_path is not None:
        ours["NEUROGRID_RECLAIM_FILE"] = f"{NOTICE_TARGET}/{NOTICE_NAME}"
        ours["NEUROGRID_RECLAIM_WINDOW_S"] = str(spec.reclaim_window_s)
    given = ours | dict(spec.environment)
    if spec.place is not None:
        given |= spec.place.environment(given)
    removed = {name for name in spec.image.environment if is_reserved_variable(name)}
    # Named even when the image was not seen to set them: a profile that depends on nothing.
    removed |= {"LD_PRELOAD", "LD_AUDIT"}
    return [f"{name}={value}" for name, value in sorted(given.items())] + sorted(
        removed - given.keys()
    )


def _host_configuration(spec: ContainerSpec) -> dict[str, Any]:
    def limit(name: str, value: int) -> dict[str, Any]:
        return {"Name": name, "Soft": value, "Hard": value}

    return {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_json()}"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "Tmpfs": _tmpfs(spec),
        "Mounts": _mounts(spec),
        "ShmSize": spec.shared_memory_bytes,
        "NetworkMode": f"container:{spec.network_of}" if spec.network_of else "none",
        "IpcMode": "private",
        "CgroupnsMode": "private",
        # Without an init, PID 1 ignores signals sent to itself and reaps no orphans.
        "Init": True,
        "Memory": spec.memory_bytes,
        "MemorySwap": spec.memory_bytes,
        "NanoCpus": spec.cpu_millis * 1_000_000,
        "PidsLimit": spec.pids,
        "OomScoreAdj": _OOM_SCORE_ADJ,
        "Ulimits": [
            limit("core", 0),
            limit("fsize", spec.file_bytes_max),
            limit("nofile", _OPEN_FILES_MAX),
            limit("nproc", _PROCESSES_OF_USER_MAX),
        ],
        "DeviceRequests": _device_requests(spec),
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": f"{_LOG_FILE_MIB}m", "max-file": str(_LOG_FILES)},
        },
        "RestartPolicy": {"Name": "no"},
        # We remove it ourselves, after reading how it ended.
        "AutoRemove": False,
        "PublishAllPorts": False,
    }


def _tmpfs(spec: ContainerSpec) -> dict[str, str]:
    """Sized /tmp, and one over each volume of the image.

    An image's VOLUME would otherwise become a writable directory on the host's disk without a
    limit. What the image ships below that path is hidden.
    """
    # exec: Python and the CUDA compilers build extensions in /tmp and load them.
    options = f"rw,nosuid,nodev,exec,mode=1777,size={spec.tmp_bytes}"
    covered = {"/tmp": options}
    for volume in spec.image.volumes:
        path = "/" + volume.strip("/")
        if path not in _RESERVED_TARGETS:
            covered[path] = options
    return covered


def _mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    """Binds that fail when the host directory is missing, instead of making one.

    That failure matters: an engine in another mount namespace does not see the size-limited
    filesystem, and must not fall back to the unlimited directory beneath it.
    """

    def bind(source: Path, target: str, *, read_only: bool) -> dict[str, Any]:
        return {
            "Type": "bind",
            "Source": str(source),
            "Target": target,
            "ReadOnly": read_only,
            "BindOptions": {"Propagation": "rprivate"},
        }

    mounts = []
    if spec.inputs_path is not None:
        mounts.append(bind(spec.inputs_path, INPUTS_TARGET, read_only=True))
    if spec.outputs_path is not None:
        mounts.append(bind(spec.outputs_path, OUTPUTS_TARGET, read_only=False))
    if spec.notice_path is not None:
        mounts.append(bind(spec.notice_path, NOTICE_TARGET, read_only=True))
    return mounts


def _device_requests(spec: ContainerSpec) -> list[dict[str, Any]]:
    if not spec.gpu_uuids:
        return []
    return [
        {
            "Driver": "nvidia",
            "DeviceIDs": list(spec.gpu_uuids),
            "Capabilities": [["gpu", "compute", "utility"]],
        }
    ]


def profile_report(spec: ContainerSpec) -> dict[str, Any]:
    """What the container was allowed, in plain values without host paths: for the signed receipt.

    Read back from the create request, so that it cannot say something else.
    """
    request = create_arguments(spec)
    host = request["HostConfig"]
    return {
        "profile": PROFILE_NAME,
        "image_id": request["Image"],
        "image_digest": spec.image.digest,
        "user": request["User"],
        "capabilities_dropped": host["CapDrop"],
        "no_new_privileges": "no-new-privileges:true" in host["SecurityOpt"],
        "seccomp_sha256": seccomp_sha256(),
        "read_only_root": host["ReadonlyRootfs"],
        # The gang's own; which container holds it is nobody's business.
        "network": "gang" if spec.network_of else host["NetworkMode"],
        "ipc": host["IpcMode"],
        "cgroup_namespace": host["CgroupnsMode"],
        "cpu_millis": host["NanoCpus"] // 1_000_000,
        "memory_bytes": host["Memory"],
        "swap_bytes": host["MemorySwap"] - host["Memory"],
        "pids": host["PidsLimit"],
        "disk_bytes": spec.disk_bytes,
        "tmp_bytes": spec.tmp_bytes,
        "shared_memory_bytes": host["ShmSize"],
        "ulimits": {entry["Name"]: entry["Hard"] for entry in host["Ulimits"]},
        "log_bytes": _LOG_FILE_MIB * _LOG_FILES * _MIB,
        "gpu_uuids": list(spec.gpu_uuids),
        "mounts": {
            mount["Target"]: "read-only" if mount["ReadOnly"] else "writable"
            for mount in host["Mounts"]
        },
    }
