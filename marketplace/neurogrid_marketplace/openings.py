"""What a node could newly take, held against what waiting tasks need.

A task that found nobody would find nobody again, until something changes: a node comes, frees something, takes new
work again, asks less, offers more, or is thought better of. Each of these is an opening. It is worth as many auctions
as the node has room for: what tasks that are being auctioned would take of it is claimed, so that one node that
becomes free does not have a thousand tasks auctioned.

Whether an opening serves a demand is what the auction itself asks of a node (`constraints`), so that no auction is
held in vain and none that would not be is left out.
"""

from dataclasses import replace

from .attributes import NodeFacts
from .constraints import constraints_of, meets
from .demand import Demand
from .offer import Offer
from .resources import Capacity, Requirements
from .standing import UNKNOWN, Standing

_NOTHING = Capacity(cpu_millis=0, memory_bytes=0, disk_bytes=0)


class Opening:
    """A node since its last change.

    Attributes:
        offer: as it was said; what is claimed is not taken off.
    """

    def __init__(self, offer: Offer, standing: Standing = UNKNOWN) -> None:
        self.offer = offer
        self._standing = standing
        self._left = offer
        self._claims: dict[str, Requirements] = {}

    @property
    def is_claimed(self) -> bool:
        """Whether a task is being auctioned that may take of it."""
        return bool(self._claims)

    def could_serve(self, demand: Demand) -> bool:
        """Whether it serves this with all that it has free."""
        return self._meets(self.offer, demand)

    def serves(self, demand: Demand) -> bool:
        """Whether it serves this with what nobody claims."""
        return self._meets(self._left, demand)

    def claim(self, task_id: str, need: Requirements) -> None:
        """A task is auctioned that may take so much."""
        self._claims[task_id] = need
        self._left = _without(self._left, need)

    def take_over(self, before: "Opening") -> None:
        """What was claimed of this node before its last change still is."""
        for task_id, need in before._claims.items():
            self.claim(task_id, need)

    def give_back(self, task_id: str) -> None:
        """The task has not taken it."""
        if self._claims.pop(task_id, None) is not None:
            self._left = self.offer
            for need in self._claims.values():
                self._left = _without(self._left, need)

    def taken(self, task_id: str) -> None:
        """The task has taken it, which the node's next word shows."""
        need = self._claims.pop(task_id, None)
        if need is not None:
            self.offer = _without(self.offer, need)

    def _meets(self, offer: Offer, demand: Demand) -> bool:
        return meets(NodeFacts(offer, demand, self._standing), constraints_of(demand))


def has_risen(before: Standing, after: Standing) -> bool:
    """Whether a node is thought better of in anything."""
    return (
        after.score_permille > before.score_permille
        or after.stake_micro_usdc > before.stake_micro_usdc
        or after.start_factor_permille < before.start_factor_permille
        or (after.challenged and not before.challenged)
    )


def _without(offer: Offer, need: Requirements) -> Offer:
    reclaimable = offer.reclaimable and _less(offer.reclaimable, need)
    return replace(offer, free=_less(offer.free, need), reclaimable=reclaimable)


def _less(capacity: Capacity, need: Requirements) -> Capacity:
    taken = capacity.take(need)
    return taken[0] if taken is not None else _NOTHING
