"""A gang: tasks that run at once or not at all, and what each of them knows of the others.

A member has a *rank*, 0 to ``size`` - 1, and finds the others in a private network of the gang's own,
at addresses that follow from their ranks. Rank 0 is where they meet.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .errors import InvalidValue
from .fields import Count, Id, Multiaddr, PeerId

# One is no gang. Each member more is one more node whose failure ends the attempt of all.
GANG_MIN, GANG_MAX = 2, 32
MAX_MEMBER_ADDRESSES = 8
GangSize = Annotated[int, Meta(ge=GANG_MIN, le=GANG_MAX)]
Rank = Annotated[int, Meta(ge=0, le=GANG_MAX - 1)]

# The gang's network, the same in each: it is reached from nowhere else, so it collides with none.
_NETWORK = "10.77.0"
NETWORK_PREFIX_BITS = 24
# Where programs of rank 0 listen unless told otherwise; PyTorch's own default.
RENDEZVOUS_PORT = 29_500


# Among the runtimes of a node that can hold members: it has made such a network.
GANG_RUNTIME = "gang"


class Apart(StrEnum):
    """What members of a gang do not share; a node is never shared."""

    NODE = "node"
    WALLET = "wallet"


@dataclass(frozen=True, slots=True)
class Gang:
    """So many nodes at once, or none."""

    size: GangSize
    apart: Apart = Apart.NODE


@dataclass(frozen=True, slots=True)
class GangMember:
    """Who has a rank, and where it may be dialled; without an address, through the coordinator's relay."""

    node_id: PeerId
    addresses: Annotated[tuple[Multiaddr, ...], Meta(max_length=MAX_MEMBER_ADDRESSES)] = ()


@dataclass(frozen=True, slots=True)
class GangPlace:
    """A lease's place in its gang.

    Attributes:
        gang_id: the task that the client sees.
        attempt: 1 for the first: a gang that begins again has other leases and another network.
        members: by rank.

    Raises:
        InvalidValue: the rank is nobody's, or a node has two.
    """

    gang_id: Id
    attempt: Count
    rank: Rank
    members: Annotated[tuple[GangMember, ...], Meta(min_length=GANG_MIN, max_length=GANG_MAX)]

    def __post_init__(self) -> None:
        if self.rank >= len(self.members):
            raise InvalidValue(f"rank {self.rank} of a gang of {len(self.members)}")
        if len({member.node_id for member in self.members}) != len(self.members):
            raise InvalidValue("a node has two ranks of a gang")

    @property
    def size(self) -> int:
        """How many members there are."""
        return len(self.members)

    def environment(self, given: Collection[str]) -> dict[str, str]:
        """What the member's container is told.

        Args:
            given: names that the client has set: of the customary ones, those stay.
        """
        customary = {
            "MASTER_ADDR": address_of(0),
            "MASTER_PORT": str(RENDEZVOUS_PORT),
            "RANK": str(self.rank),
            "WORLD_SIZE": str(self.size),
        }
        return {name: value for name, value in customary.items() if name not in given} | {
            "NEUROGRID_RANK": str(self.rank),
            "NEUROGRID_WORLD_SIZE": str(self.size),
            "NEUROGRID_RENDEZVOUS": f"{address_of(0)}:{RENDEZVOUS_PORT}",
        }

    def hosts(self) -> dict[str, str]:
        """Host name -> address, of every member."""
        return {f"rank-{rank}": address_of(rank) for rank in range(self.size)}


def address_of(rank: int) -> str:
    """The IPv4 address of a rank in its gang's network."""
    return f"{_NETWORK}.{rank + 1}"
