"""What the container of a gang member's link may do: a checked spec in, the engine's create request out. Pure.

The link holds the network namespace that the job then joins: before the job's first instruction its interface
is up. It alone has CAP_NET_ADMIN, in that namespace and until the interface is made (`images/gang-link`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from neurogrid_marketplace.gang import GangPlace, address_of
from neurogrid_marketplace.gang_packets import MTU_BYTES

from .container_profile import CONTAINER_NAME_PREFIX, LABEL_LEASE, LABEL_NODE, check_lease_id
from .container_seccomp import seccomp_json

LINK_IMAGE: Final = "neurogrid/gang-link:1"
# The ids of leases have no dot, so no job's container has such a name.
LINK_NAME_PREFIX: Final = f"{CONTAINER_NAME_PREFIX}link."
TUN_DEVICE: Final = "/dev/net/tun"
# Where the daemon's socket is; images/gang-link/link.c names it, too.
SOCKET_NAME: Final = "link.sock"
_SOCKET_TARGET: Final = "/gang"

# It uses one; runc itself needs about 4 MiB inside the limit while it starts it.
_MEMORY_BYTES: Final = 16 << 20
_PIDS: Final = 8
_OPEN_FILES: Final = 64


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One link's container, checked.

    Attributes:
        lease_id: also names the container, so that creating it twice finds the first.
        node_id: the label a restarted daemon finds it by.
        image_id: of `LINK_IMAGE`, as it is on this machine.
        place: whose interface it makes.
        directory: on the host, absolute; the daemon's socket is in it.

    Raises:
        SpecError: on construction, with a code.
    """

    lease_id: str
    node_id: str
    image_id: str
    place: GangPlace
    directory: Path

    def __post_init__(self) -> None:
        check_lease_id(self.lease_id)

    @property
    def container_name(self) -> str:
        return link_name(self.lease_id)


def link_name(lease_id: str) -> str:
    """The name of the container of a lease's link."""
    return LINK_NAME_PREFIX + lease_id


def link_arguments(spec: LinkSpec) -> dict[str, Any]:
    """The body of the engine's ``POST /containers/create`` (API 1.41)."""

    def limit(name: str, value: int) -> dict[str, Any]:
        return {"Name": name, "Soft": value, "Hard": value}

    return {
        "Image": spec.image_id,
        "Cmd": [address_of(spec.place.rank), str(MTU_BYTES)],
        "User": "0:0",
        # The job, which joins this namespace, has this name and these hosts.
        "Hostname": "job",
        "Labels": {LABEL_LEASE: spec.lease_id, LABEL_NODE: spec.node_id},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": {
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_ADMIN"],
            "SecurityOpt": ["no-new-privileges:true", f"seccomp={seccomp_json()}"],
            "Privileged": False,
            "ReadonlyRootfs": True,
            "Devices": [
                {
                    "PathOnHost": TUN_DEVICE,
                    "PathInContainer": TUN_DEVICE,
                    "CgroupPermissions": "rw",
                }
            ],
            "Mounts": [
                {
                    "Type": "bind",
                    "Source": str(spec.directory),
                    "Target": _SOCKET_TARGET,
                    "ReadOnly": True,
                    "BindOptions": {"Propagation": "rprivate"},
                }
            ],
            "NetworkMode": "none",
            "ExtraHosts": [f"{name}:{address}" for name, address in spec.place.hosts().items()],
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
