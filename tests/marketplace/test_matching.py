from collections import Counter

from neurogrid_marketplace.matching import SAMPLE_SIZE, eligible, sample
from neurogrid_marketplace.resources import Requirements

from .market import GIB, capacity, demand, gpu, offer

OFFERS = [offer(f"node-{n}") for n in range(40)]


def test_the_sample_is_the_same_for_everybody_and_does_not_grow() -> None:
    first = sample(OFFERS, "demand_1")
    assert first == sample(list(reversed(OFFERS)), "demand_1")
    assert len(first) == SAMPLE_SIZE
    assert first != sample(OFFERS, "demand_2")


def test_a_node_that_leaves_moves_nobody_else_out() -> None:
    first = sample(OFFERS, "demand_1")
    without = sample([o for o in OFFERS if o != first[0]], "demand_1")
    assert without[: SAMPLE_SIZE - 1] == first[1:]


def test_weight_is_the_chance_of_being_asked() -> None:
    favourite = OFFERS[0].node_id
    drawn = Counter(
        o.node_id
        for n in range(600)
        for o in sample(OFFERS, f"demand_{n}", size=1, weights={favourite: 1000})
    )
    expected = 600 * 2 / 41  # twice the weight of forty others' 500
    assert 0.4 * expected < drawn[favourite] < 2.2 * expected


def test_only_who_meets_every_constraint_is_eligible() -> None:
    fits = offer("a", total=capacity(gpus=(gpu(1),)), free=capacity(gpus=(gpu(1),)))
    busy = offer("b", total=capacity(gpus=(gpu(1),)), free=capacity())
    draining = offer("c", accepting=False, total=fits.total, free=fits.free)
    dear = offer("d", base=200_000, total=fits.total, free=fits.free)
    elsewhere = offer("e", region="us", total=fits.total, free=fits.free)
    wanted = demand(
        requirements=Requirements(gpu_count=1, gpu_memory_bytes=20 * GIB, regions=("eu",))
    )
    assert eligible([fits, busy, draining, dear, elsewhere], wanted) == [fits]
