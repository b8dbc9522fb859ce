"""What a container beside a job may do that is its link to something: a checked spec in, a create request out. Pure.

A link holds the network namespace that the job then joins, or joins it too. It runs one static program of ours,
with a folder in which the daemon's socket is; `profile.py` has what the job itself may do.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .seccomp import seccomp_json
from .spec import LABEL_LEASE, LABEL_NODE, check_lease_id

# The link uses one; runc itself needs about 4 MiB inside the limit while it starts it.
_MEMORY_BYTES: Final = 16 << 20
_PIDS: Final = 8
_OPEN_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One link's container, checked.

    Attributes:
        lease_id: whose job it is for.
        node_id: the label a restarted daemon finds it by.
        image_id: of its image, as it is on this machine.
        name_prefix: of its name, which is the lease's: creating it twice finds the first.
        command: its arguments.
        user: as whom it runs.
        directory: on the host, absolute; the daemon's socket is in it.
        target: where it finds that, read-only.
        network_of: the id of the container whose network it joins; "": it holds one of its own, with
            nothing in it.
        capabilities, devices: beyond none.
        hosts: further lines of /etc/hosts, for whoever joins its network.

    Raises:
        SpecError: on construction, with a code.
    """

    lease_id: str
    node_id: str
    image_id: str
    name_prefix: str
    command: tuple[str, ...]
    user: str
    directory: Path
    target: str
    network_of: str = ""
    capabilities: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_lease_id(self.lease_id)

    @property
    def container_name(self) -> str:
        return self.name_prefix + self.lease_id


def link_arguments(spec: LinkSpec) -> dict[str, Any]:
    """The body of the engine's ``POST /containers/create`` (API 1.41)."""

    def limit(name: str, value: int) -> dict[str, Any]:
        return {"Name": name, "Soft": value, "Hard": value}

    return {
        "Image": spec.image_id,
        "Cmd": list(spec.command),
        "User": spec.user,
        # The job, which joins this namespace, has this name and these hosts.
        "Hostname": "" if spec.network_of else "job",
        "Labels": {LABEL_LEASE: spec.lease_id, LABEL_NODE: spec.node_id},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": {
            "CapDrop": ["ALL"],
            "CapAdd": list(spec.capabilities),
            "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_json()}"],
            "Privileged": False,
            "ReadonlyRootfs": True,
            "Devices": [
                {"PathOnHost": device, "PathInContainer": device, "CgroupPermissions": "rw"}
                for device in spec.devices
            ],
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": str(spec.directory),
                    "Target": spec.target,
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rprivate"},
                }
            ],
            "NetworkMode": f"container:{spec.network_of}" if spec.network_of else "none",
            "ExtraHosts": list(spec.hosts),
            "IpcMode": "private",
            "CgroupnsMode": "private",
            "Memory": _MEMORY_BYTES,
            "MemorySwap": _MEMORY_BYTES,
            "PidsLimit": _PIDS,
            "Ulimits": [limit("core", 0), limit("nofile", _OPEN_FILES)],
            # It says one line, when it fails.
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "1"}},
            "RestartPolicy": {"Name": "no"},
            "AutoRemove": False,
            "PublishAllPorts": False,
        },
    }
