"""The bid decision: a demand and the state of this machine in, a bid or a coded decline out. Pure.

A sealed-bid, second-score auction rewards asking what the work costs: the price is the configured
price list's, not a guess about the others.
"""

from dataclasses import dataclass

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.conditions import Clause
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.gang import GANG_RUNTIME
from neurogrid_marketplace.image_name import ImageName
from neurogrid_marketplace.judgement import narrowed
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.network import NetworkTerms, missed
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS
from neurogrid_marketplace.spot import SpotTerms

from ..container.registry_rules import EVERY_REGISTRY, RegistryRules
from ..container.spec import MEMORY_BYTES_MIN
from .model_terms import ModelTerms
from .reservations import with_inputs
from .start_history import StartHistory
from .terms import refusal

# Resources stay held this long beyond the window: the two seconds in which a better bidder may fail to
# answer its award, and one for everything else. Whoever did not win learns of it only by this end,
# so it is what a node loses by losing: at 15 s, a market that is half full awards to nobody.
BID_VALID_MS = 3_000
# A coordinator that collects for longer gets a bid that ends before: nobody holds our GPUs for free.
BID_WINDOW_MAX_MS = 30_000
# Of all coordinators together: a hello and a heartbeat name at most so many.
LEASES_MAX = 256
# The container engine's own least (`ContainerSpec`). Without a least, demands for nothing at all
# would always fit.
CPU_MILLIS_MIN = 10


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner allows.

    Attributes:
        region: where the machine stands.
        max_timeout_s: the longest job that is taken.
        may_pull: whether images that are not here are fetched; registries: from which registries.
        allowed_image_prefixes: images that may run; empty allows all.
        conditions: on tasks and clients (`attributes.TASK`), all to be met.
        spot: how preemptible tasks are taken; None: as any other.
        network: what jobs may reach, where this machine can let them; None: nothing.
        displaces: whether an ordinary task may take the place of preemptible ones.
        models: how replicas of models are taken; None: not at all.
    """

    prices: PriceList
    wallet: str
    region: str
    max_timeout_s: int
    may_pull: bool
    allowed_image_prefixes: tuple[str, ...]
    conditions: tuple[Clause, ...] = ()
    spot: SpotTerms | None = None
    displaces: bool = False
    models: ModelTerms | None = None
    network: NetworkTerms | None = None
    registries: RegistryRules = EVERY_REGISTRY

    def pull_refusal(self, reference: str) -> str:
        """Why the owner does not let an image be fetched, or ""."""
        if not self.may_pull:
            return "this node does not pull"
        try:
            name = ImageName.read(reference)
        except InvalidValue as error:
            return str(error)
        if name.is_own:
            return "images of this project come from no registry: its owner types make images"
        if not self.registries.allows(name.registry):
            return f"this node does not pull from {name.registry}"
        return ""

    def allows_image(self, reference: str) -> bool:
        """Whether the owner lets this image run."""
        prefixes = self.allowed_image_prefixes
        return not prefixes or reference.startswith(prefixes)


@dataclass(frozen=True, slots=True)
class Machine:
    """The state of this machine that a bid depends on.

    Attributes:
        free: what is not promised now, or would not be without those who are displaced for this
            demand; total: what is offered at all.
        clears_ms: how long these take to be gone.
        accepting: False while draining, paused or not ready.
        leases: how many there are.
        image_bytes: size of the image if it is here, else 0; None: the engine cannot say now.
        weights_bytes: how much of what the demand names as weights is here.
        starts: how long starts have taken here.
        offer: what is said of this machine; its ``free`` is of no moment.
    """

    free: Capacity
    total: Capacity
    accepting: bool
    leases: int
    image_bytes: int | None
    starts: StartHistory
    offer: Offer
    clears_ms: int = 0
    weights_bytes: int = 0


def valid_until_ms(demand: Demand, now_ms: int) -> int:
    """How long a bid on this stands."""
    window_ms = min(demand.bid_window_ms, BID_WINDOW_MAX_MS)
    if demand.sealed_bids:
        window_ms += REVEAL_LIMIT_MS
    return now_ms + window_ms + BID_VALID_MS


def answer(demand: Demand, machine: Machine, policy: Policy, now_ms: int) -> Bid | Decline:
    """Bid or decline."""

    def decline(code: DeclineCode, detail: str = "") -> Decline:
        return Decline(demand.demand_id, code, detail)

    if not machine.accepting:
        return decline(DeclineCode.NOT_ACCEPTING)
    if demand.timeout_s > policy.max_timeout_s:
        return decline(DeclineCode.TOO_LONG, f"at most {policy.max_timeout_s} s")
    if not policy.allows_image(demand.image):
        return decline(DeclineCode.IMAGE_NOT_ALLOWED, "not on this node's list")
    if demand.gang is not None and GANG_RUNTIME not in machine.offer.runtimes:
        return decline(DeclineCode.NO_GANGS)
    unreached = missed(machine.offer.network, demand.network)
    if unreached:
        return decline(DeclineCode.NO_NETWORK, unreached)
    serves, unit_prices = demand.serves, None
    if serves is not None:
        # What is offered of it needs a way to jobs' ports, too.
        if (
            policy.models is None
            or not (terms := machine.offer.serving)
            or not terms.allows(serves.model)
        ):
            return decline(DeclineCode.NO_MODELS)
        unit_prices = policy.models.asked(serves)
        if unit_prices is None:
            return decline(DeclineCode.PRICE_TOO_LOW, "asks more for units")
    facts = NodeFacts(machine.offer, demand)
    refused = refusal(facts, policy.conditions)
    if refused is not None:
        return decline(*refused)
    need = demand.requirements
    if need.regions and policy.region not in need.regions:
        return decline(DeclineCode.DOES_NOT_FIT, f"this is {policy.region}")
    if need.cpu_millis < CPU_MILLIS_MIN or need.memory_bytes < MEMORY_BYTES_MIN:
        return decline(
            DeclineCode.DOES_NOT_FIT,
            f"at least {CPU_MILLIS_MIN} thousandths of a core and {MEMORY_BYTES_MIN} bytes",
        )
    need = with_inputs(need, demand.input_bytes)
    if not narrowed(machine.total, facts).has(need):
        return decline(DeclineCode.DOES_NOT_FIT)
    if not narrowed(machine.free, facts).has(need) or machine.leases >= LEASES_MAX:
        return decline(DeclineCode.BUSY)
    price = facts.quote
    if price > demand.max_price_micro_usdc_per_hour:
        return decline(DeclineCode.PRICE_TOO_LOW, f"asks {format_usdc(price)} USDC per hour")
    if machine.image_bytes is None:
        return decline(DeclineCode.NOT_READY, "the container engine does not answer")
    refused_pull = "" if machine.image_bytes else policy.pull_refusal(demand.image)
    if refused_pull:
        return decline(DeclineCode.IMAGE_NOT_ALLOWED, f"not here, and {refused_pull}")
    # What is said of them is a coordinator's; more than all inputs are not here.
    weights_bytes = min(machine.weights_bytes, demand.input_bytes)
    predicted = machine.starts.predict(
        demand.image,
        has_image=machine.image_bytes > 0,
        input_bytes=demand.input_bytes - weights_bytes,
    )
    start_ms = machine.clears_ms + predicted.start_ms
    if demand.finish_by_ms and now_ms + start_ms > demand.latest_begin_ms():
        return decline(
            DeclineCode.DEADLINE_TOO_CLOSE, f"it would begin here in {start_ms // 1000} s"
        )
    return Bid(
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        price_micro_usdc_per_hour=price,
        start_ms=start_ms,
        start_p95_ms=machine.clears_ms + predicted.start_p95_ms,
        cached_bytes=machine.image_bytes + weights_bytes,
        valid_until_ms=valid_until_ms(demand, now_ms),
        wallet=policy.wallet,
        reclaim_window_s=policy.spot.reclaim_window_s if policy.spot and demand.preemptible else 0,
        unit_prices=unit_prices,
    )
