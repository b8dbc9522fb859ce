"""A demand in, a binding bid or a coded decline out; and what bids and tasks leave free. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.client_terms import unmet
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.judgement import narrowed
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.network import missed
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS

# As a node's: a bid holds resources so long beyond its window, for the award.
BID_VALID_MS = 3_000
BID_WINDOW_MAX_MS = 30_000
# A mailbox has streams for so many.
LEASES_MAX = 32
# Without a least, demands for nothing at all would always fit.
CPU_MILLIS_MIN = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """What a resource's owner allows.

    Attributes:
        images: prefixes of images that may run; empty allows all.
        max_timeout_s: the longest task that is taken.
        start_ms: how long a start takes here, as likely less as more; the market counts it.
    """

    images: tuple[str, ...] = ()
    max_timeout_s: int = 86_400
    start_ms: int = 1_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What a bid or a task holds; ``gpus``: those that it gets."""

    requirements: Requirements
    gpus: tuple[Gpu, ...] = ()


def with_inputs(need: Requirements, input_bytes: int) -> Requirements:
    """What a task needs with its inputs, which lie on the same disk."""
    return replace(need, disk_bytes=need.disk_bytes + input_bytes)


def left(total: Capacity, taken: Iterable[Taken]) -> Capacity:
    """What is free beside these; never less than nothing."""
    held = list(taken)
    used = {gpu.uuid for each in held for gpu in each.gpus}
    return Capacity(
        max(0, total.cpu_millis - sum(each.requirements.cpu_millis for each in held)),
        max(0, total.memory_bytes - sum(each.requirements.memory_bytes for each in held)),
        max(0, total.disk_bytes - sum(each.requirements.disk_bytes for each in held)),
        tuple(gpu for gpu in total.gpus if gpu.uuid not in used),
    )


def answer(
    demand: Demand, offer: Offer, policy: Policy, leases: int, now_ms: int
) -> tuple[Bid, Taken] | Decline:
    """Bid, with what is held for it, or decline.

    Args:
        offer: with what is free now.
        leases: how many tasks there are.
    """

    def decline(code: DeclineCode, detail: str = "") -> Decline:
        return Decline(demand.demand_id, code, detail)

    if not offer.accepting:
        return decline(DeclineCode.NOT_ACCEPTING)
    if demand.serves is not None:
        return decline(DeclineCode.NO_MODELS)
    if demand.use is not None:
        return decline(DeclineCode.NO_REPLICA)
    if demand.timeout_s > policy.max_timeout_s:
        return decline(DeclineCode.TOO_LONG, f"at most {policy.max_timeout_s} s")
    if policy.images and not demand.image.startswith(policy.images):
        return decline(DeclineCode.IMAGE_NOT_ALLOWED, "not on this provider's list")
    if demand.gang is not None:
        return decline(DeclineCode.NO_GANGS)
    unreached = missed(offer.network, demand.network)
    if unreached:
        return decline(DeclineCode.NO_NETWORK, unreached)
    facts = NodeFacts(offer, demand)
    refused = unmet(facts)
    if refused is not None:
        return decline(*refused)
    need = demand.requirements
    if need.regions and offer.region not in need.regions:
        return decline(DeclineCode.DOES_NOT_FIT, f"this is {offer.region}")
    if need.cpu_millis < CPU_MILLIS_MIN:
        return decline(DeclineCode.DOES_NOT_FIT, f"at least {CPU_MILLIS_MIN} thousandths of a core")
    need = with_inputs(need, demand.input_bytes)
    if not narrowed(offer.total, facts).has(need):
        return decline(DeclineCode.DOES_NOT_FIT)
    fitting = narrowed(offer.free, facts).take(need)
    if fitting is None or leases >= LEASES_MAX:
        return decline(DeclineCode.BUSY)
    price = facts.quote
    if price > demand.max_price_micro_usdc_per_hour:
        return decline(DeclineCode.PRICE_TOO_LOW, f"asks {format_usdc(price)} USDC per hour")
    if demand.finish_by_ms and now_ms + policy.start_ms > demand.latest_begin_ms():
        return decline(DeclineCode.DEADLINE_TOO_CLOSE)
    window_ms = min(demand.bid_window_ms, BID_WINDOW_MAX_MS)
    if demand.sealed_bids:
        window_ms += REVEAL_LIMIT_MS
    bid = Bid(
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        price_micro_usdc_per_hour=price,
        start_ms=policy.start_ms,
        valid_until_ms=now_ms + window_ms + BID_VALID_MS,
        wallet=offer.wallet,
    )
    return bid, Taken(need, fitting[1])
