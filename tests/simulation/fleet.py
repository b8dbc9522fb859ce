"""Ten thousand machines and the orders that come for them; the same in every run."""

import random
from collections.abc import Callable
from functools import lru_cache

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements

GIB = 1024**3
LARGEST = 10_000
IMAGE = "image:1"
MAX_PRICE = 1_000_000
_REGIONS = ("eu-west", "eu-north", "us-east", "us-west", "asia")
# Model, memory in GiB, and how many machines of a hundred have it; the last is rare.
_GPUS = (("RTX 4090", 24, 20), ("RTX 3090", 24, 20), ("A100", 80, 9), ("H100", 80, 1))


@lru_cache(maxsize=1)
def _machines() -> tuple[Offer, ...]:
    chance = random.Random("fleet")
    return tuple(_machine(number, chance) for number in range(LARGEST))


def fleet(size: int) -> tuple[Offer, ...]:
    """The first ``size`` machines, all idle."""
    return _machines()[:size]


def _machine(number: int, chance: random.Random) -> Offer:
    cores = chance.choice((4, 8, 16, 32, 64))
    drawn = chance.randrange(100)
    gpus: tuple[Gpu, ...] = ()
    for model, memory_gib, share in _GPUS:
        if 0 <= drawn < share:
            count = chance.choice((1, 1, 2, 4, 8))
            gpus = tuple(
                Gpu(f"GPU-{number}-{place}", model, memory_gib * GIB, "8.9")
                for place in range(count)
            )
        drawn -= share
    whole = Capacity(cores * 1000, cores * 4 * GIB, 500 * GIB, gpus)
    prices = PriceList(
        base_micro_usdc_per_hour=chance.randrange(1_000, 20_000),
        cpu_core_micro_usdc_per_hour=chance.randrange(5_000, 30_000),
        gpu_micro_usdc_per_hour=chance.randrange(150_000, 900_000),
    )
    return Offer(
        node_id=f"node-{number}",
        # One owner in five has a rack of ten.
        wallet=f"rack-{number // 10}" if number % 50 < 10 else f"wallet-{number}",
        software="simulated/1",
        region=chance.choice(_REGIONS),
        total=whole,
        free=whole,
        prices=prices,
        images=(IMAGE,),
    )


# What is ordered, from what every machine can do to what three in a hundred can.
SHAPES: tuple[Callable[[], Requirements], ...] = (
    lambda: Requirements(cpu_millis=1_000),
    lambda: Requirements(cpu_millis=4_000, gpu_count=1),
    lambda: Requirements(cpu_millis=8_000, gpu_count=1, gpu_model="4090"),
    lambda: Requirements(cpu_millis=8_000, gpu_count=4, gpu_memory_bytes=80 * GIB),
)


def order(number: int, seed: int, *, sealed: bool = False) -> Demand:
    """An order; its id is as hard to guess as a task's."""
    chance = random.Random(f"order {seed} {number}")
    return Demand(
        demand_id=f"demand_{chance.getrandbits(128):032x}",
        job_hash="0" * 64,
        requirements=SHAPES[number % len(SHAPES)](),
        image=IMAGE,
        input_bytes=0,
        max_price_micro_usdc_per_hour=4 * MAX_PRICE,
        timeout_s=600,
        bid_window_ms=250,
        voucher_interval_s=30,
        dead_after_s=45,
        sealed_bids=sealed,
    )
