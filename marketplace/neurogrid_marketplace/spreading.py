"""Tasks that must not share a node, an owner or a region while they run.

Tasks of one account that name the same group keep apart by what they name: no two of them hold leases
on one node, of one wallet, or in one region at a time. Whoever takes a place is known when a task is
auctioned, so that nobody is asked in vain, and once more in the transaction that awards it, where
two auctions that ran at once meet.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .attributes import NodeFacts
from .auction import RankedBid
from .constraints import Constraint
from .offer import Offer
from .spread import Spread, SpreadBy
from .task import Phase, Task
from .task_events import AuctionClosed, Event

# Between award and end: afterwards the place is free.
HOLDING = frozenset({Phase.AWARDED, Phase.STARTING, Phase.RUNNING})
_CHOOSING = frozenset({Phase.MATCHING, Phase.AWARDED})


@dataclass(frozen=True, slots=True)
class Barred:
    """Places that a task may not have now; ``group``: of what group they are, for people."""

    nodes: tuple[str, ...] = ()
    wallets: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    group: str = ""

    def has(self, node_id: str, wallet: str, region: str) -> bool:
        """Whether this node is one of them."""
        return node_id in self.nodes or wallet in self.wallets or region in self.regions

    def has_offer(self, offer: Offer) -> bool:
        """Whether the node of this offer is one of them."""
        return self.has(offer.node_id, offer.wallet, offer.region)

    def constraint(self) -> Constraint:
        """As `explain` counts it, after all that a node is and asks."""
        return Constraint(
            f"spread({self.group})",
            lambda facts: not self.has_offer(facts.offer),
            self._shortfall,
        )

    def _shortfall(self, facts: NodeFacts) -> str:
        offer = facts.offer
        if offer.node_id in self.nodes:
            return f"runs another task of {self.group}"
        what = (
            f"wallet {offer.wallet}" if offer.wallet in self.wallets else f"region {offer.region}"
        )
        return f"is of {what}, where another task of {self.group} runs"


NOBODY = Barred()


def barred(spread: Spread | None, others: Iterable[Task]) -> Barred:
    """What a task of this group may not have now.

    Args:
        others: the group's other tasks.
    """
    if spread is None:
        return NOBODY
    leases = [task.lease for task in others if task.phase in HOLDING and task.lease is not None]
    match spread.by:
        case SpreadBy.NODE:
            nodes = tuple(sorted({lease.node_id for lease in leases}))
            return Barred(nodes=nodes, group=spread.group)
        case SpreadBy.WALLET:
            wallets = tuple(sorted({lease.wallet for lease in leases}))
            return Barred(wallets=wallets, group=spread.group)
        case SpreadBy.REGION:
            regions = tuple(sorted({lease.region for lease in leases if lease.region}))
            return Barred(regions=regions, group=spread.group)


def is_choosing(task: Task) -> bool:
    """Whether the task's next step may award it, so that `narrowed` has a say."""
    return task.spread is not None and task.phase in _CHOOSING


def narrowed(task: Task, event: Event, places: Barred) -> tuple[Task, Event]:
    """The task and what happens to it without bids from places that were taken meanwhile."""
    left = _outside(task.candidates, places)
    if left != task.candidates:
        task = replace(task, candidates=left)
    if isinstance(event, AuctionClosed):
        ranking = _outside(event.ranking, places)
        if len(ranking) < len(event.ranking):
            why = event.explanation
            if not ranking:
                why = f"Everybody who bid is where another task of {places.group} runs."
            event = replace(event, ranking=ranking, explanation=why)
    return task, event


def _outside(bids: tuple[RankedBid, ...], places: Barred) -> tuple[RankedBid, ...]:
    return tuple(
        ranked
        for ranked in bids
        if not places.has(ranked.node_id, ranked.bid.wallet, ranked.region)
    )
