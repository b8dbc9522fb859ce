"""Who is asked and who wins: conditions, samples and auctions."""

import hashlib
from dataclasses import replace

from neurogrid_marketplace.attributes import NODE, NodeFacts
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.canonical import Json, sha256_hex
from neurogrid_marketplace.condition_text import read_conditions
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.fields import PUNCTUAL_PERMILLE, plain
from neurogrid_marketplace.gang import Apart, Gang
from neurogrid_marketplace.judgement import met_by_node, narrowed
from neurogrid_marketplace.matching import NEUTRAL_WEIGHT, POOL_SIZE, place_of, pool, sample
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

from .lease_story import GIB
from .parties import party

# Each kind of value with each operator, met and just missed.
CONDITIONS = (
    "region = eu-west and region != us and region in (eu-north, eu-west) and region not in (us)",
    "region ~ EU and region !~ north and region = EU-WEST",
    "ram >= 32GiB and ram > 32GiB and ram <= 34359738368B and ram < 32GiB and ram = 32GiB",
    "gpu.driver >= 550.54 and gpu.driver < 550.100 and gpu.driver = 550.54.14.0",
    "image.present has python:3.12 and image.present lacks python:3.12 and model.present lacks a",
    "privacy has sealed_inputs and runtime has runsc and enforcement = watched",
    "price.hour <= 0.600001USDC and price.hour < 0.600001USDC and price.total = 0.100001USDC",
    "gpu.model ~ rtx and gpu.memory >= 20GB",
    "gpu.model ~ t4 and gpu.memory >= 20GB",
    "gpu.compute_capability >= 8.9 or region = us",
    "gpu.vendor = amd",
    "gpu.vendor in (nvidia, amd) and gpu.memory >= 24GB",
    "gpu.memory >= 80GB or region = eu-west",
    "gpu.count = 2 and cpu.cores >= 8 and cpu.cores > 8 and disk >= 100GiB",
)

# Name of the auction -> the maximum price, then each node's price, time to start and, where they are
# not 1000 and its own, its start factor and whose wallet it has.
_AUCTIONS: dict[str, tuple[int, dict[str, tuple[int, int] | tuple[int, int, int, str]]]] = {
    "nobody bids": (100_000, {}),
    "a lone bid is paid itself": (100_000, {"a": (20_000, 400)}),
    "the winner is paid the second score": (100_000, {"a": (20_000, 0), "b": (30_000, 0)}),
    "waiting counts for both": (100_000, {"a": (20_000, 30_000), "b": (22_000, 500)}),
    "a rounded waiting part": (99_999, {"a": (20_000, 333), "b": (20_001, 1)}),
    "never above the maximum": (100_000, {"a": (20_000, 0), "b": (99_000, 120_000)}),
    "above the maximum is no bid": (100_000, {"a": (100_001, 0), "b": (100_000, 0)}),
    "a factor counts a start as what it took": (
        100_000,
        {"a": (20_000, 400, 2_500, "a"), "b": (20_050, 400)},
    ),
    "no time at all counts as a millisecond": (
        100_000,
        {"a": (20_000, 0, 5_000_000, "a"), "b": (20_400, 0)},
    ),
    "a second node of the same wallet is not second": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0)},
    ),
    "two nodes of one wallet alone are paid themselves": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a")},
    ),
    "a tie goes to the smaller peer id": (100_000, dict.fromkeys("abcd", (20_000, 0))),
    "all of a gang are paid the first that lost": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 500), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "an owner's second seat is paid the second that lost": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "apart by wallet an owner has one seat": (
        100_000,
        {"a": (20_000, 0), "b": (21_000, 0, 1_000, "a"), "c": (30_000, 0), "d": (40_000, 0)},
    ),
    "too few for a gang are paid their bids": (100_000, {"a": (20_000, 0)}),
}
# Those that sell several seats.
_GANGS = {
    "all of a gang are paid the first that lost": Gang(2),
    "an owner's second seat is paid the second that lost": Gang(2),
    "apart by wallet an owner has one seat": Gang(2, Apart.WALLET),
    "too few for a gang are paid their bids": Gang(2),
}


def auctions() -> Json:
    found: list[Json] = []
    for name, (maximum, bids) in _AUCTIONS.items():
        nodes = {who: party(who) for who in bids}
        gang = _GANGS.get(name)
        auction = Auction(maximum, frozenset(who.peer_id for who in nodes.values()), gang)
        factors: dict[str, int] = {}
        shown: list[Json] = []
        for who, (price, start_ms, *other) in bids.items():
            node = nodes[who]
            factor, owner = other or (PUNCTUAL_PERMILLE, who)
            assert isinstance(factor, int)
            wallet = party(str(owner)).address
            bid = Bid("demand_" + "0" * 32, "0" * 64, price, start_ms, 0, wallet)
            auction.bid(node.peer_id, bid, sha256_hex(who))
            factors[node.peer_id] = factor
            shown.append(
                {
                    "node_id": node.peer_id,
                    "wallet": wallet,
                    "price_micro_usdc_per_hour": price,
                    "start_ms": start_ms,
                    "start_factor_permille": factor,
                }
            )
        found.append(
            {
                "name": name,
                "max_price_micro_usdc_per_hour": maximum,
                "gang": None if gang is None else plain(gang),
                "bids": shown,
                "ranking": [
                    {
                        "node_id": ranked.node_id,
                        "score": ranked.score,
                        "award_price_micro_usdc_per_hour": ranked.award_price_micro_usdc_per_hour,
                    }
                    for ranked in auction.ranking(factors)
                ],
            }
        )
    return found


def sampling() -> Json:
    weights = {f"node-{number}": (1, 250, 500, 1000)[number % 4] for number in range(20)}
    offers = _offers(20)
    many = _offers(POOL_SIZE + 16)
    by_id = {party(name).peer_id: weight for name, weight in weights.items()}
    demand_id = "demand_" + "3c" * 16
    digest = hashlib.blake2b(f"{demand_id}:{offers[0].node_id}".encode(), digest_size=8)
    return {
        "demand_id": demand_id,
        "neutral_weight": NEUTRAL_WEIGHT,
        "nodes": [{"node_id": offer.node_id, "weight": by_id[offer.node_id]} for offer in offers],
        "digest_of_the_first_hex": digest.hexdigest(),
        "first_eight": [o.node_id for o in sample(offers, demand_id, weights=by_id)],
        "first_sixteen": [o.node_id for o in sample(offers, demand_id, size=16, weights=by_id)],
        "first_eight_without_weights": [o.node_id for o in sample(offers, demand_id)],
        "larger_market": {
            "place_of_the_demand_hex": f"{place_of(demand_id)[0]:016x}",
            "places_hex": {o.node_id: f"{place_of(o.node_id)[0]:016x}" for o in many},
            "pool": [o.node_id for o in pool(many, demand_id)],
            "first_eight_without_weights": [o.node_id for o in sample(many, demand_id)],
        },
    }


def conditions() -> Json:
    """A machine with two GPUs, and what of a demand's conditions it meets."""
    gpus = (
        Gpu("GPU-1", "NVIDIA T4", 16 * GIB, "7.5"),
        Gpu("GPU-2", "NVIDIA GeForce RTX 4090", 24 * GIB, "8.9"),
    )
    room = Capacity(8_000, 32 * GIB, 100 * GIB, gpus)
    offer = replace(
        _offers(1)[0],
        region="eu-west",
        total=room,
        free=room,
        prices=PriceList(base_micro_usdc_per_hour=600_001),
        images=("python:3.12",),
        gpu_driver="550.54.14",
        runtimes=("runc",),
        privacy=("sealed_inputs",),
    )
    demand = Demand(
        demand_id="demand_" + "4d" * 16,
        job_hash="0" * 64,
        requirements=Requirements(gpu_count=1),
        image="python:3.12",
        input_bytes=0,
        max_price_micro_usdc_per_hour=10**6,
        timeout_s=600,
        bid_window_ms=250,
        voucher_interval_s=30,
        dead_after_s=45,
    )
    judged: list[Json] = []
    for text in CONDITIONS:
        asked = replace(demand, where=read_conditions(text, NODE))
        facts = NodeFacts(offer, asked)
        where = plain(asked)["where"]
        gpu_uuids: list[Json] = [gpu.uuid for gpu in narrowed(offer.total, facts).gpus]
        judged.append(
            {
                "text": text,
                "where": where,
                "met": [met_by_node(clause, facts) for clause in asked.where],
                "gpus": gpu_uuids,
            }
        )
    return {"offer": plain(offer), "demand": plain(demand), "judged": judged}


def _offers(count: int) -> list[Offer]:
    room = Capacity(1000, GIB, GIB)
    nodes = [party(f"node-{number}") for number in range(count)]
    return [Offer(o.peer_id, o.address, "v", "v", room, room, PriceList()) for o in nodes]
