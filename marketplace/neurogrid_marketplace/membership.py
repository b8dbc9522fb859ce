"""A task's membership in a gang, as part of its state; the rules are in `gang_steps` and `gangs`."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from .fields import Id
from .gang import Gang

# How often a gang may begin that costs something each time; money is held for all of them.
TRIES_MAX = 4


class Stage(StrEnum):
    """How far an attempt of the whole gang has got, as each member's lease knows it.

    ``gathering``: until all nodes have accepted, nobody's money moves. ``funding``: until all escrows are
    open, no container starts. ``running``: they start. ``stopping``: another member has ended the attempt.
    """

    GATHERING = "gathering"
    FUNDING = "funding"
    RUNNING = "running"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Left:
    """How a member lost its seat by itself.

    Attributes:
        why: in words.
        code: of the outcome; "" where its node did not take the lease, which is nobody's fault.
        avoid: the node that is not asked again, "" for none.
    """

    why: str
    code: str = ""
    avoid: str = ""


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's part in its gang.

    Attributes:
        rank: 0 is the task that the client sees: it holds the auctions, and ends with the last.
        tries: how often the gang may still begin and cost something, the present attempt included.
        attempt: counts the times that all seats were taken; 0 before the first.
        nodes: of the present or last attempt, by rank.
        left: set while the member has no seat, because it lost it.
        cost_before_micro_usdc: what the task had cost before this attempt.
    """

    gang: Gang
    rank: int
    tries: int = 1
    attempt: int = 0
    stage: Stage = Stage.GATHERING
    nodes: tuple[str, ...] = ()
    left: Left | None = None
    cost_before_micro_usdc: int = 0


def member_id(gang_id: Id, rank: int) -> Id:
    """The id of a gang's task of this rank; the same if asked again."""
    if rank == 0:
        return gang_id
    digest = hashlib.sha256(f"gang:{gang_id}:{rank}".encode()).hexdigest()
    return f"task_{digest[:32]}"
