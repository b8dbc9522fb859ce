"""Who is asked: filter by constraints, then draw a weighted sample that everybody can recompute.

The cost of an order must not grow with the network, so only ``sample_size`` of the eligible nodes
get the demand. Rendezvous hashing makes the draw deterministic in (demand id, node id): no
coordinator can quietly prefer a node, and no node can move itself up except by its weight.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping

from .constraints import misses
from .demand import Demand
from .offer import Offer

# How many nodes one order asks: 2k + 3 messages an order, however large the market is.
SAMPLE_SIZE = 8
# A node nobody knows yet draws half as often as the best, so that newcomers get work.
NEUTRAL_WEIGHT = 500
MAX_WEIGHT = 1000


def eligible(offers: Iterable[Offer], demand: Demand) -> list[Offer]:
    """The nodes that meet every constraint."""
    return [offer for offer in offers if not misses(offer, demand)]


def sample(
    candidates: Iterable[Offer],
    demand_id: str,
    *,
    size: int = SAMPLE_SIZE,
    weights: Mapping[str, int] | None = None,
) -> list[Offer]:
    """Draw up to ``size`` nodes, best draw first.

    Args:
        weights: node id -> 1..1000; a node without one draws with ``NEUTRAL_WEIGHT``.
    """
    weights = weights or {}

    def draw(offer: Offer) -> tuple[float, str]:
        weight = weights.get(offer.node_id, NEUTRAL_WEIGHT)
        return (_rendezvous_key(demand_id, offer.node_id, weight), offer.node_id)

    return sorted(candidates, key=draw)[:size]


def _rendezvous_key(demand_id: str, node_id: str, weight: int) -> float:
    """Weighted rendezvous hash, lower is better: -ln(u) / weight with u uniform in (0, 1).

    Source: Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005.
    """
    digest = hashlib.blake2b(f"{demand_id}:{node_id}".encode(), digest_size=8).digest()
    # 53 bits, shifted by a half: never 0 and never 1, and exact in a double everywhere.
    uniform = ((int.from_bytes(digest, "big") >> 11) + 0.5) / 2**53
    return -math.log(uniform) / max(1, min(weight, MAX_WEIGHT))
