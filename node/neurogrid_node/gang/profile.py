"""What the container of a gang member's link may do. Pure.

The link holds the network namespace that the job then joins: before the job's first instruction its interface
is up. It alone has CAP_NET_ADMIN, in that namespace and until the interface is made (`images/gang-link`).
"""

from pathlib import Path
from typing import Final

from neurogrid_marketplace.gang import GangPlace, address_of
from neurogrid_marketplace.gang_packets import MTU_BYTES

from ..container.link_profile import LinkSpec
from ..container.spec import CONTAINER_NAME_PREFIX

LINK_IMAGE: Final = "neurogrid/gang-link:1"
# The ids of leases have no dot, so no job's container has such a name.
LINK_NAME_PREFIX: Final = f"{CONTAINER_NAME_PREFIX}link."
TUN_DEVICE: Final = "/dev/net/tun"
_SOCKET_TARGET: Final = "/gang"


def gang_link(
    lease_id: str, node_id: str, image_id: str, place: GangPlace, directory: Path
) -> LinkSpec:
    """The link of a member.

    Args:
        place: whose interface it makes.
        directory: on the host, absolute; the daemon's socket is in it.
    """
    return LinkSpec(
        lease_id=lease_id,
        node_id=node_id,
        image_id=image_id,
        name_prefix=LINK_NAME_PREFIX,
        command=(address_of(place.rank), str(MTU_BYTES)),
        user="0:0",
        directory=directory,
        target=_SOCKET_TARGET,
        capabilities=("NET_ADMIN",),
        devices=(TUN_DEVICE,),
        hosts=tuple(f"{name}:{address}" for name, address in place.hosts().items()),
    )


def link_name(lease_id: str) -> str:
    """The name of the container of a lease's link."""
    return LINK_NAME_PREFIX + lease_id
