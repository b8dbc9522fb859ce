"""Why are there no bids? Per constraint how many nodes are left, who came nearest, what would help.

The same function answers ``POST /api/v1/match/explain`` before anything is paid and fills the
details of a ``NODE_UNAVAILABLE`` error afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .bid import Decline
from .constraints import CONSTRAINTS, misses
from .demand import Demand
from .offer import Offer

# How many near misses are worth a person's time.
NEAREST = 5


@dataclass(frozen=True, slots=True)
class Survivors:
    """How many nodes are left after one constraint has been applied."""

    constraint: str
    left: int


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A node that fails few constraints, and how."""

    node_id: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relaxation:
    """The single constraint whose removal would let most nodes in."""

    constraint: str
    nodes: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the market says about a demand.

    Attributes:
        nodes: known in all; matching: that meet everything.
        survivors: in the order of the constraints.
        nearest: fewest misses first.
        clearing_price_micro_usdc_per_hour: the lowest ask among nodes that meet all but the price;
            None if there are none.
        relaxation: None if no single constraint would help.
        declines: code -> how many of the nodes asked gave it.
    """

    nodes: int
    matching: int
    survivors: tuple[Survivors, ...]
    nearest: tuple[NearMiss, ...]
    clearing_price_micro_usdc_per_hour: int | None
    relaxation: Relaxation | None
    declines: Mapping[str, int]

    def sentence(self) -> str:
        """The explanation in one line."""
        if not self.nodes:
            return "No node is connected."
        if self.matching and self.declines:
            codes = ", ".join(f"{count} {code}" for code, count in sorted(self.declines.items()))
            return f"{self.matching} of {self.nodes} nodes match, but declined: {codes}."
        if self.matching:
            return f"{self.matching} of {self.nodes} nodes match."
        if self.relaxation:
            return (
                f"None of {self.nodes} nodes matches; without {self.relaxation.constraint} "
                f"{self.relaxation.nodes} would."
            )
        return f"None of {self.nodes} nodes matches, and no single change would help."


def explain(
    offers: Iterable[Offer], demand: Demand, declines: Mapping[str, Decline] | None = None
) -> Explanation:
    """Explain how a demand meets the nodes that are known now."""
    known = list(offers)
    missed = {offer.node_id: misses(offer, demand) for offer in known}
    left = known
    survivors = []
    for constraint in CONSTRAINTS:
        left = [offer for offer in left if constraint.met(offer, demand)]
        survivors.append(Survivors(constraint.name, len(left)))
    single = [reasons[0].name for reasons in missed.values() if len(reasons) == 1]
    relaxation = None
    if not left and single:
        name = max(sorted(set(single)), key=single.count)
        relaxation = Relaxation(name, single.count(name))
    asks = [
        offer.prices.quote(demand.requirements)
        for offer in known
        if all(constraint.name == "max_price" for constraint in missed[offer.node_id])
    ]
    near = sorted(
        (offer for offer in known if missed[offer.node_id]),
        key=lambda offer: (len(missed[offer.node_id]), offer.node_id),
    )[:NEAREST]
    codes: dict[str, int] = {}
    for decline in (declines or {}).values():
        codes[decline.code.value] = codes.get(decline.code.value, 0) + 1
    return Explanation(
        nodes=len(known),
        matching=len(left),
        survivors=tuple(survivors),
        nearest=tuple(
            NearMiss(
                offer.node_id,
                tuple(
                    f"{constraint.name}: {constraint.shortfall(offer, demand)}"
                    for constraint in missed[offer.node_id]
                ),
            )
            for offer in near
        ),
        clearing_price_micro_usdc_per_hour=min(asks, default=None),
        relaxation=relaxation,
        declines=codes,
    )
