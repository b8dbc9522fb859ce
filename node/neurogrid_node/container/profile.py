"""What a job's container may do: a checked spec in, the engine's create request out. Pure.

Nothing a client or an image says reaches the engine's host configuration except through
`ContainerSpec`: there is no pass-through. The same hardening applies to every job and cannot be
switched off; `profile_report` states it for the signed receipt, and tests/engine asserts it from
inside a container.
"""

from pathlib import Path
from typing import Any, Final

from neurogrid_node.container.seccomp import seccomp_json, seccomp_sha256
from neurogrid_node.container.spec import (
    LABEL_LEASE,
    LABEL_NODE,
    ContainerSpec,
    is_reserved_variable,
)

INPUTS_TARGET: Final = "/inputs"
OUTPUTS_TARGET: Final = "/outputs"
# Where a job that may be reclaimed finds a file when it is.
NOTICE_TARGET: Final = "/run/neurogrid"
NOTICE_NAME: Final = "reclaim.json"

PROFILE_NAME: Final = "neurogrid-hardened-1"

_MIB: Final = 1 << 20
# The engine's file of one job's output, twice: a job that prints without end costs 16 MiB.
_LOG_FILE_MIB: Final = 8
_LOG_FILES: Final = 2
# A second fence behind the pids cgroup. The kernel counts it per user over *all* containers
# (they share uid 65534), so it is far above one lease's own limit: a lease must not starve another.
_PROCESSES_OF_USER_MAX: Final = 8_192
# Not more: an engine without CAP_SYS_RESOURCE cannot raise its own hard limit, 20,000 where measured.
_OPEN_FILES_MAX: Final = 16_384
# Positive needs no privilege: on a machine out of memory the kernel kills jobs before the daemon.
_OOM_SCORE_ADJ: Final = 500
_KFD: Final = "/dev/kfd"
# Where the engine, the kernel or this profile mounts something itself.
_RESERVED_TARGETS: Final = ("/proc", "/sys", "/dev", "/tmp", INPUTS_TARGET, OUTPUTS_TARGET)


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
    if spec.checkpoint_path is not None:
        ours["NEUROGRID_CHECKPOINT"] = spec.checkpoint_target
        ours["NEUROGRID_CHECKPOINT_RESUMED"] = str(spec.resumed)
    given = ours | dict(spec.environment)
    if spec.place is not None:
        given |= spec.place.environment(given)
    if spec.network is not None:
        hosts = spec.place.hosts() if spec.place is not None else {}
        given |= spec.network.environment(given, (*hosts, *hosts.values()))
    removed = {name for name in spec.image.environment if is_reserved_variable(name)}
    # Named even when the image was not seen to set them: a profile that depends on nothing.
    removed |= {"LD_PRELOAD", "LD_AUDIT"}
    return [f"{name}={value}" for name, value in sorted(given.items())] + sorted(
        removed - given.keys()
    )


def _host_configuration(spec: ContainerSpec) -> dict[str, Any]:
    def limit(name: str, value: int) -> dict[str, Any]:
        return {"Name": name, "Soft": value, "Hard": value}

    return _render_configuration(spec) | {
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
        if path not in (*_RESERVED_TARGETS, spec.checkpoint_target):
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
    if spec.checkpoint_path is not None:
        mounts.append(bind(spec.checkpoint_path, spec.checkpoint_target, read_only=False))
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


def _render_configuration(spec: ContainerSpec) -> dict[str, Any]:
    """The nodes of AMD's GPUs, and the groups that may open them; nothing where there is none."""
    if not spec.render_nodes:
        return {}
    paths = [_KFD, *(f"/dev/dri/renderD{node.minor}" for node in spec.render_nodes)]
    groups = {group for node in spec.render_nodes for group in node.groups}
    return {
        # Read and write, not make.
        "Devices": [
            {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rw"}
            for path in paths
        ],
        "GroupAdd": [str(group) for group in sorted(groups)],
    }


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
        "network": _network_words(spec, host["NetworkMode"]),
        "network_allow": list(spec.network.allow) if spec.network is not None else [],
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
        "gpu_uuids": [*spec.gpu_uuids, *(node.uuid for node in spec.render_nodes)],
        "devices": [device["PathInContainer"] for device in host.get("Devices", ())],
        "mounts": {
            mount["Target"]: "read-only" if mount["ReadOnly"] else "writable"
            for mount in host["Mounts"]
        },
    }


def _network_words(spec: ContainerSpec, mode: str) -> str:
    """Which container holds its network is nobody's business."""
    ways = [
        *(["gang"] if spec.place is not None else []),
        *(["proxy"] if spec.network is not None else []),
    ]
    return " and ".join(ways) or mode
