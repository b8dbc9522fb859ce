"""One demand, award and job that a small machine takes; each test changes what it is about."""

from dataclasses import replace
from typing import TypeVar

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import Award, Start
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_node.market.bidder import Policy

T = TypeVar("T")

GIB = 1024**3
COORDINATOR = "12D3KooWJWoaqZhDaoEFshF7Rh1bpY9ohihFhzcW6d69Lr2NASuq"
NODE = "12D3KooWKRyzVWW6ChFjQjK4miCty85Niy48tpPV95XdKu1BcvMA"
WALLET = "11111111111111111111111111111112"
LEASE = "lease_" + "1" * 32
DEMAND = "demand_" + "1" * 32
NOW_MS = 1_800_000_000_000

PRICES = PriceList(0, 20_000, 5_000, 600_000)
NEED = Requirements(cpu_millis=1000, memory_bytes=GIB, disk_bytes=GIB)
GPU = Gpu("GPU-1", "NVIDIA L4", 24 * GIB, "8.9")
TOTAL = Capacity(4000, 8 * GIB, 100 * GIB, (GPU,))
POLICY = Policy(PRICES, WALLET, "eu", 3600, True, ())
OFFER = Offer(NODE, WALLET, "neurogrid-node/1", "eu", TOTAL, TOTAL, PRICES)
JOB = Job("neurogrid/job:1", ("true",))


def changed(value: T, **changes: object) -> T:
    """A value with some fields changed."""
    return replace(value, **changes)  # type: ignore[type-var]  # every value here is a dataclass


def demand(**changes: object) -> Demand:
    """A demand for `JOB`."""
    plain = Demand(
        demand_id=DEMAND,
        job_hash=JOB.hash(),
        requirements=NEED,
        image=JOB.image,
        input_bytes=0,
        max_price_micro_usdc_per_hour=1_000_000,
        timeout_s=60,
        bid_window_ms=2_000,
        voucher_interval_s=10,
        dead_after_s=60,
    )
    return changed(plain, **changes)


def award(bid_hash: str, of: Demand | None = None, **changes: object) -> Award:
    """An honest award of a demand."""
    terms = of or demand()
    plain = Award(
        lease_id=LEASE,
        demand_id=terms.demand_id,
        demand_hash=terms.hash(),
        bid_hash=bid_hash,
        other_bid_hashes=(),
        price_micro_usdc_per_hour=terms.max_price_micro_usdc_per_hour,
        max_cost_micro_usdc=terms.max_cost_micro_usdc(),
        timeout_s=terms.timeout_s,
        voucher_interval_s=terms.voucher_interval_s,
        job_hash=terms.job_hash,
    )
    return changed(plain, **changes)


def start(**changes: object) -> Start:
    """The start message of the award's lease."""
    plain = Start(LEASE, JOB, WALLET, WALLET, WALLET, "http://127.0.0.1:1/artifacts", "token")
    return changed(plain, **changes)
