"""Offers, demands and bids for tests."""

from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

from .keys import person

GIB = 1024**3


def gpu(number: int, memory_gib: int = 24, model: str = "NVIDIA GeForce RTX 4090") -> Gpu:
    return Gpu(f"GPU-{number}", model, memory_gib * GIB, "8.9")


def capacity(cores: int = 8, memory_gib: int = 32, gpus: tuple[Gpu, ...] = ()) -> Capacity:
    return Capacity(cores * 1000, memory_gib * GIB, 100 * GIB, gpus)


def offer(name: str, *, base: int = 10_000, region: str = "eu", **changes: object) -> Offer:
    who = person(name)
    fields: dict[str, object] = {
        "node_id": who.peer_id,
        "wallet": who.address,
        "software": "test/1",
        "region": region,
        "total": capacity(),
        "free": capacity(),
        "prices": PriceList(base_micro_usdc_per_hour=base),
        **changes,
    }
    return Offer(**fields)  # type: ignore[arg-type]  # the fields of an offer


def demand(**changes: object) -> Demand:
    fields: dict[str, object] = {
        "demand_id": "demand_" + "0" * 32,
        "job_hash": "0" * 64,
        "requirements": Requirements(),
        "image": "image:1",
        "input_bytes": 0,
        "max_price_micro_usdc_per_hour": 100_000,
        "timeout_s": 600,
        "bid_window_ms": 250,
        "voucher_interval_s": 30,
        "dead_after_s": 45,
        **changes,
    }
    return Demand(**fields)  # type: ignore[arg-type]  # the fields of a demand


def bid(price: int, start_ms: int = 0, of: Demand | None = None, *, owner: str = "wallet") -> Bid:
    of = of or demand()
    return Bid(of.demand_id, of.hash(), price, start_ms, 10**13, person(owner).address)
