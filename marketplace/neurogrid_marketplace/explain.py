"""Why are there no bids? Per constraint how many nodes are left, who came nearest, what would help.

The same function answers ``POST /api/v1/match/explain`` before anything is paid and fills the
details of a ``NODE_UNAVAILABLE`` error afterwards.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .attributes import NodeFacts
from .bid import Decline
from .constraints import TOGETHER, Constraint, constraints_of, misses
from .demand import Demand
from .offer import Offer
from .relaxations import Relaxation, nodes_without, relaxation
from .spreading import NOBODY, Barred
from .standing import UNKNOWN, Standing

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
class Asks:
    """What the nodes ask that meet all but the price, micro-USDC per hour.

    Attributes:
        second_micro_usdc: the lowest of another owner than the cheapest's, as auctions count; the
            lowest of all where there is none.
        cheapest: the node that asks the lowest; ties: the smaller id.
    """

    nodes: int
    cheapest: str
    lowest_micro_usdc: int
    second_micro_usdc: int
    highest_micro_usdc: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the market says about a demand.

    Attributes:
        nodes: known in all; matching: that meet everything.
        survivors: in the order of the constraints.
        nearest: fewest misses first.
        clearing_price_micro_usdc_per_hour: the lowest ask among nodes that meet all but the price;
            None if there are none.
        asks: of the same nodes, and of those that are only busy now.
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
    asks: Asks | None = None

    def sentence(self) -> str:
        """The explanation in one line."""
        if not self.nodes:
            return "No node is connected."
        if self.matching and self.declines:
            codes = ", ".join(f"{count} {code}" for code, count in sorted(self.declines.items()))
            return f"{self.matching} of {self.nodes} nodes match, but declined: {codes}."
        if self.matching:
            return f"{self.matching} of {self.nodes} nodes match."
        none = f"None of {self.nodes} nodes matches"
        if self.relaxation is None:
            return f"{none}, and no single change would help."
        nearest = "".join(
            f", with {step.constraint} {step.nodes}" for step in self.relaxation.steps[:1]
        )
        return (
            f"{none}; without {self.relaxation.constraint} {self.relaxation.nodes} would{nearest}."
        )


def explain(
    offers: Iterable[Offer],
    demand: Demand,
    declines: Mapping[str, Decline] | None = None,
    standings: Mapping[str, Standing] | None = None,
    places: Barred = NOBODY,
    gate: tuple[Constraint, ...] = (),
) -> Explanation:
    """Explain how a demand meets the nodes that are known now.

    Args:
        standings: node id -> what is known of it beside its offer.
        places: where it may not run now, because others of its group do.
        gate: what the coordinator asks of every node.
    """
    also = (*gate, places.constraint()) if places != NOBODY else gate
    standings = standings or {}
    known = [NodeFacts(offer, demand, standings.get(offer.node_id, UNKNOWN)) for offer in offers]
    constraints = (*constraints_of(demand), *also)
    missed = [(facts, misses(facts, constraints)) for facts in known]
    codes = [decline.code.value for decline in (declines or {}).values()]
    near = sorted(
        ((facts, reasons) for facts, reasons in missed if reasons),
        key=lambda item: (len(item[1]), item[0].offer.node_id),
    )[:NEAREST]
    asks = [facts.quote for facts, reasons in missed if all(reason.is_price for reason in reasons)]
    matching = sum(not reasons for _, reasons in missed)
    return Explanation(
        nodes=len(known),
        matching=matching,
        survivors=_survivors(constraints, [reasons for _, reasons in missed]),
        nearest=tuple(
            NearMiss(
                facts.offer.node_id,
                tuple(f"{reason.name}: {reason.shortfall(facts)}" for reason in reasons),
            )
            for facts, reasons in near
        ),
        clearing_price_micro_usdc_per_hour=min(asks, default=None),
        relaxation=None if matching else _best_relaxation(constraints, missed),
        declines={code: codes.count(code) for code in sorted(set(codes))},
        asks=_asks(missed),
    )


def _asks(missed: list[tuple[NodeFacts, tuple[Constraint, ...]]]) -> Asks | None:
    found = sorted(
        (facts.quote, facts.offer.node_id, facts.offer.wallet)
        for facts, reasons in missed
        if all(reason.is_price or reason.is_of_the_moment for reason in reasons)
    )
    if not found:
        return None
    lowest, cheapest, owner = found[0]
    others = (quote for quote, _, wallet in found if wallet != owner)
    return Asks(len(found), cheapest, lowest, next(others, lowest), found[-1][0])


def _survivors(
    constraints: tuple[Constraint, ...], missed: list[tuple[Constraint, ...]]
) -> tuple[Survivors, ...]:
    fallen = [reasons[0].name for reasons in missed if reasons]
    left = len(missed)
    survivors = []
    for constraint in constraints:
        left -= fallen.count(constraint.name)
        survivors.append(Survivors(constraint.name, left))
    return tuple(survivors)


def _best_relaxation(
    constraints: tuple[Constraint, ...], missed: list[tuple[NodeFacts, tuple[Constraint, ...]]]
) -> Relaxation | None:
    """Of the constraints that a client can give up, the one whose loss alone lets most nodes in."""
    # By name: a constraint that was built anew is the same one.
    kept_out = {each.name: (each, list[NodeFacts]()) for each in constraints if each.is_the_clients}
    # Nobody asks for this one: it comes of the conditions on GPUs, and goes with any of them.
    kept_out.pop(TOGETHER.name, None)
    for facts, reasons in missed:
        if len(reasons) != 1:
            continue
        for each, lacking in kept_out.values():
            if each.name == reasons[0].name or (reasons[0] is TOGETHER and each.is_about_gpus):
                lacking.append(facts)
    let_in = {
        name: nodes_without(each, lacking)
        for name, (each, lacking) in sorted(kept_out.items())
        if lacking
    }
    best = max(let_in, key=let_in.__getitem__, default=None)
    return relaxation(*kept_out[best]) if best is not None and let_in[best] else None
