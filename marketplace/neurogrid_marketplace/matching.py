"""Who is asked: filter by constraints, then draw a weighted sample that everybody can recompute.

The cost of an order must not grow with the network, so only ``SAMPLE_SIZE`` nodes get the demand,
and only a pool of `POOL_SIZE` is drawn from. Every node and every demand has a place on a ring, by
hash; the pool is the eligible nodes that follow the demand's place, and among them weighted
rendezvous hashing draws. Both depend on the demand's id and the node's alone: no coordinator can
quietly prefer a node, no node can move itself up except by its weight, and a node that was left
out can show it (docs/adr/0014-pool-on-a-ring.md). `candidates` finds the pool without looking at
every node.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from .attributes import NodeFacts
from .constraints import constraints_of, meets
from .demand import Demand
from .offer import Offer
from .serving import Use
from .standing import UNKNOWN, Standing
from .units import UnitPrices

# How many nodes one order asks: 2k + 3 messages an order, however large the market is.
SAMPLE_SIZE = 8
# With fewer answers than this there is no second score: ask once more, as many again.
ENOUGH_BIDS = 2
# The nodes that a draw is made among: enough that a weight of 1000 draws nearly twice as often as
# one of 500, few enough that finding them costs little.
POOL_SIZE = 64
# A node nobody knows yet draws half as often as the best, so that newcomers get work.
NEUTRAL_WEIGHT = 500
MAX_WEIGHT = 1000

# Which replica a lease is for stands in the demand's conditions, as the node that has it.
_ANY_USE = Use("", "", UnitPrices(), 1)

Place = tuple[int, str]
"""Where a node stands on the ring: its hash, then its id for those of the same hash."""


# As many nodes as a coordinator may have; an order needs the places of its pool.
@lru_cache(maxsize=32_768)
def place_of(node_id: str) -> Place:
    """A node's place on the ring."""
    return (_hash(node_id), node_id)


def start_of(demand_id: str) -> Place:
    """Where the pool of a demand begins: before every node at that place."""
    return (_hash(demand_id), "")


def shape_of(demand: Demand) -> Demand:
    """All of a demand that the standing constraints see: the same for tasks of one kind."""
    shape = replace(demand, demand_id="", job_hash="", input_bytes=0, client=None, finish_by_ms=0)
    return replace(shape, use=_ANY_USE) if demand.use is not None else shape


def eligible(
    offers: Iterable[Offer], demand: Demand, standings: Mapping[str, Standing] | None = None
) -> list[Offer]:
    """The nodes that meet every constraint.

    Args:
        standings: node id -> what is known of it beside its offer.
    """
    standings = standings or {}
    constraints = constraints_of(demand)
    return [
        offer
        for offer in offers
        if meets(NodeFacts(offer, demand, standings.get(offer.node_id, UNKNOWN)), constraints)
    ]


def pool(candidates: Iterable[Offer], demand_id: str) -> list[Offer]:
    """The candidates that follow the demand's place on the ring, `POOL_SIZE` at most."""
    start = start_of(demand_id)

    def order(offer: Offer) -> tuple[bool, Place]:
        place = place_of(offer.node_id)
        return (place < start, place)

    return sorted(candidates, key=order)[:POOL_SIZE]


def sample(
    candidates: Iterable[Offer],
    demand_id: str,
    *,
    size: int = SAMPLE_SIZE,
    weights: Mapping[str, int] | None = None,
) -> list[Offer]:
    """Draw up to ``size`` nodes from the pool, best draw first; ties: the smaller node id.

    Args:
        weights: node id -> 1..1000; a node without one draws with ``NEUTRAL_WEIGHT``.
    """
    weights = weights or {}

    def draw(offer: Offer) -> tuple[float, str]:
        weight = weights.get(offer.node_id, NEUTRAL_WEIGHT)
        return (_rendezvous_key(demand_id, offer.node_id, weight), offer.node_id)

    return sorted(pool(candidates, demand_id), key=draw)[:size]


def _rendezvous_key(demand_id: str, node_id: str, weight: int) -> float:
    """Weighted rendezvous hash, lower is better: -ln(u) / weight with u uniform in (0, 1).

    Source: Schindelhauer and Schomaker, Weighted Distributed Hash Tables, 2005.
    """
    # 53 bits, shifted by a half: never 0 and never 1, and exact in a double everywhere.
    uniform = ((_hash(f"{demand_id}:{node_id}") >> 11) + 0.5) / 2**53
    return -math.log(uniform) / max(1, min(weight, MAX_WEIGHT))


def _hash(text: str) -> int:
    """64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
