import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.estimate import PriceRange, estimate
from neurogrid_marketplace.explain import explain
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.price_history import (
    CPU,
    HOUR_MS,
    UNKNOWN_GPU,
    PriceClass,
    PriceHour,
    PriceSummary,
    class_of,
    first_award,
    summary,
)
from neurogrid_marketplace.resources import Requirements

from .market import capacity, demand, gpu, offer
from .terms import where

NOW_MS = 1_800_000_123_456
ONE_GPU = Requirements(gpu_count=1)


def hours_of(prices: list[int], an_hour: int = 5) -> list[PriceHour]:
    """Awards at these prices, so many in an hour."""
    hours: list[PriceHour] = []
    for index, price in enumerate(prices):
        if index % an_hour:
            hours[-1] = hours[-1].with_award(price, 400)
        else:
            hours.append(first_award(CPU, NOW_MS + index // an_hour * HOUR_MS, price, 400))
    return hours


@given(st.lists(st.integers(0, 2**53 - 1) | st.integers(0, 2_000_000), min_size=1, max_size=40))
def test_many_hours_together_know_lowest_median_and_highest(prices: list[int]) -> None:
    found = summary(hours_of(prices))
    assert found is not None
    assert found.awards == len(prices)
    assert (found.lowest_micro_usdc, found.highest_micro_usdc) == (min(prices), max(prices))
    median = statistics.median_low(prices)
    assert found.median_micro_usdc == pytest.approx(median, rel=0.032, abs=1)
    assert found.median_micro_usdc <= found.high_micro_usdc <= found.highest_micro_usdc


@given(st.lists(st.integers(0, 2**53 - 1), min_size=1, max_size=200))
def test_an_hour_stays_small(prices: list[int]) -> None:
    (hour,) = hours_of(prices, an_hour=len(prices))
    assert sum(hour.prices.values()) == len(prices)
    assert all(value.bit_length() <= 53 for value in hour.prices)
    rounded = {value >> max(0, value.bit_length() - 6) for value in hour.prices}
    assert len(rounded) <= 64


def test_without_awards_there_is_nothing_to_tell() -> None:
    assert summary([]) is None


def test_an_hour_begins_with_the_hour() -> None:
    assert first_award(CPU, NOW_MS, 1, 2).at_ms % HOUR_MS == 0


@given(st.integers(0, 10**12), st.integers(1, 64_000))
def test_a_price_per_unit_and_back_is_never_less(price: int, units_milli: int) -> None:
    bought = PriceClass(CPU, units_milli)
    back = bought.whole(bought.per_unit(price))
    assert price <= back <= price + -(-units_milli // 1000)


def test_a_task_is_priced_by_the_gpu_that_it_would_get() -> None:
    node = offer(
        "a", total=capacity(gpus=(gpu(1, 12, "NVIDIA T4"), gpu(2, 24, "NVIDIA L4"), gpu(3)))
    )
    assert class_of(demand(), node) == PriceClass(CPU, 1000)
    assert class_of(demand(requirements=ONE_GPU), node) == PriceClass("NVIDIA T4", 1000)
    large = demand(requirements=ONE_GPU, where=where("gpu.memory >= 20GB"))
    assert class_of(large, node) == PriceClass("NVIDIA L4", 1000)
    two = demand(requirements=Requirements(gpu_count=2, gpu_model="RTX"))
    assert class_of(two, node) == PriceClass("NVIDIA GeForce RTX 4090", 2000)
    assert class_of(two, None) == PriceClass(UNKNOWN_GPU, 2000)
    assert class_of(two, offer("b")) == PriceClass(UNKNOWN_GPU, 2000)


# --- estimates ------------------------------------------------------------------------------------

BOUGHT = PriceClass(CPU, 1000)
BEFORE = PriceSummary(CPU, 9, 5_000, 15_000, 40_000, 90_000, 700)


def priced(*asks: int) -> list[Offer]:
    return [offer(f"node-{number}", base=ask) for number, ask in enumerate(asks)]


def test_the_winner_is_expected_to_get_the_second_ask() -> None:
    asked = demand()
    found = estimate(asked, BOUGHT, explain(priced(30_000, 20_000, 50_000), asked), None)
    assert found.price == PriceRange(20_000, 30_000, 30_000)
    assert found.total == PriceRange(3334, 5000, 5000)  # of ten minutes
    assert found.start_ms is None


def test_a_lone_node_is_expected_to_get_what_it_asks() -> None:
    asked = demand()
    found = estimate(asked, BOUGHT, explain(priced(30_000), asked), None)
    assert found.price == PriceRange(30_000, 30_000, 30_000)


def test_two_nodes_of_one_owner_do_not_set_each_others_price() -> None:
    asked = demand()
    nodes = priced(20_000, 30_000, 50_000)
    nodes[1] = replace(nodes[1], wallet=nodes[0].wallet)
    assert estimate(asked, BOUGHT, explain(nodes, asked), None).price == (
        PriceRange(20_000, 50_000, 50_000)
    )


def test_history_widens_the_range_and_the_maximum_caps_it() -> None:
    asked = demand(max_price_micro_usdc_per_hour=35_000)
    found = estimate(asked, BOUGHT, explain(priced(20_000, 30_000), asked), BEFORE)
    assert found.price == PriceRange(20_000, 30_000, 35_000)
    assert found.start_ms == 700


def test_two_units_cost_twice_what_one_did() -> None:
    asked = demand(requirements=Requirements(cpu_millis=2000))
    found = estimate(asked, PriceClass(CPU, 2000), explain(priced(20_000, 30_000), asked), BEFORE)
    assert found.price == PriceRange(20_000, 30_000, 80_000)


def test_where_nobody_fits_or_all_ask_more_there_is_no_price() -> None:
    asked = demand(max_price_micro_usdc_per_hour=10_000)
    assert estimate(asked, BOUGHT, explain(priced(20_000), asked), BEFORE).price is None
    assert estimate(asked, BOUGHT, explain([], asked), BEFORE).price is None


def test_a_busy_market_has_a_price_and_no_start() -> None:
    asked = demand()
    busy = offer("a", base=20_000, free=capacity(0))
    found = estimate(asked, BOUGHT, explain([busy], asked), BEFORE)
    assert found.price is not None
    assert found.start_ms is None
