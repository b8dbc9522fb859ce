"""What the owner asks for models that stay: who is let in, at which prices for units. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from neurogrid_marketplace.attributes import TASK, NodeFacts, Subject
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.lease import NodeLease
from neurogrid_marketplace.offer import LeasePhase, Offer
from neurogrid_marketplace.serving import Serves, ServingTerms, Use
from neurogrid_marketplace.units import UnitPrices

from .terms import refusal

# From the start message to its first request there is nothing to be got.
USE_START_MS = 300


@dataclass(frozen=True, slots=True)
class ModelTerms:
    """How replicas are taken, and what their use costs.

    Attributes:
        offered: what coordinators are told of it.
        prices: of single models; those without any get ``share_permille`` of the most that is offered.
        max_unpaid_micro_usdc: how far a lease for use may be ahead of its vouchers.
        ahead_micro_usdc: how far all such leases of one coordinator may be served before their escrows are seen.
        requests: that one replica answers at a time.
    """

    offered: ServingTerms
    prices: Mapping[str, UnitPrices] = field(default_factory=dict)
    share_permille: int = 1000
    max_unpaid_micro_usdc: int = 50_000
    ahead_micro_usdc: int = 50_000
    requests: int = 16

    def asked(self, serves: Serves) -> UnitPrices | None:
        """What its use will cost; None where that is more than is offered."""
        own = self.prices.get(serves.model)
        if own is None:
            return serves.max_prices.scaled(self.share_permille)
        return own if own.is_within(serves.max_prices) else None


def answer_use(
    demand: Demand,
    use: Use,
    replica: NodeLease | None,
    offer: Offer,
    *,
    accepting: bool,
    serves: bool,
    is_full: bool,
    max_timeout_s: int,
    conditions: tuple[Clause, ...],
    valid_until_ms: int,
) -> Bid | Decline:
    """Bid on the use of a replica, or decline.

    Args:
        replica: the lease that this coordinator has here under that id, if there is one.
        accepting, serves, is_full: of this node; it serves where its owner lets models stay at all.
        conditions: the owner's; those about clients count.
    """

    def decline(code: DeclineCode, detail: str = "") -> Decline:
        return Decline(demand.demand_id, code, detail)

    if not accepting:
        return decline(DeclineCode.NOT_ACCEPTING)
    if not serves:
        return decline(DeclineCode.NO_MODELS)
    if demand.timeout_s > max_timeout_s:
        return decline(DeclineCode.TOO_LONG, f"at most {max_timeout_s} s")
    # What is said there of prices and times is about jobs; the replica was one, and is here.
    of_clients = tuple(
        clause
        for clause in conditions
        if all(TASK[each.attribute].subject is Subject.CLIENT for each in clause.alternatives)
    )
    refused = refusal(NodeFacts(offer, demand), of_clients)
    if refused is not None:
        return decline(*refused)
    if (
        replica is None
        or replica.phase is not LeasePhase.RUNNING
        or replica.serves != use.model
        or replica.award.unit_prices != use.prices
    ):
        return decline(DeclineCode.NO_REPLICA)
    if is_full:
        return decline(DeclineCode.BUSY)
    return Bid(
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        price_micro_usdc_per_hour=0,
        start_ms=USE_START_MS,
        valid_until_ms=valid_until_ms,
        wallet=offer.wallet,
        unit_prices=use.prices,
    )
