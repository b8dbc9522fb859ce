"""What the container of a job's link to its proxy may do: nothing but listen in the job's network. Pure."""

from pathlib import Path
from typing import Final

from ..container.link_profile import LinkSpec
from ..container.spec import CONTAINER_NAME_PREFIX, NOBODY

LINK_IMAGE: Final = "neurogrid/egress-link:1"
# The ids of leases have no dot, so no job's container has such a name.
LINK_NAME_PREFIX: Final = f"{CONTAINER_NAME_PREFIX}egress."
_SOCKET_TARGET: Final = "/egress"


def egress_link(
    lease_id: str, node_id: str, image_id: str, directory: Path, network_of: str = ""
) -> LinkSpec:
    """The link of a job.

    Args:
        directory: on the host, absolute; the daemon's socket is in it.
        network_of: a gang's member, its other link, whose network it joins.
    """
    return LinkSpec(
        lease_id=lease_id,
        node_id=node_id,
        image_id=image_id,
        name_prefix=LINK_NAME_PREFIX,
        command=(),
        user=NOBODY,
        directory=directory,
        target=_SOCKET_TARGET,
        network_of=network_of,
    )
