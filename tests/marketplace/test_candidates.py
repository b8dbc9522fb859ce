"""The index against the plain rules: whatever has happened to it, it draws what they draw."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from neurogrid_marketplace.candidates import SHAPES_MAX, Candidates
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.matching import POOL_SIZE, eligible, place_of, sample, start_of
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Requirements

from .market import capacity, demand, offer

NAMES = [f"node-{number}" for number in range(400)]
PLAIN = {name: offer(name) for name in NAMES}
ANY = demand()
CHEAP = demand(max_price_micro_usdc_per_hour=5_000)
LARGE = demand(requirements=Requirements(cpu_millis=16_000, regions=("us",)))


def numbered(of: Demand, number: int) -> Demand:
    return replace(of, demand_id=f"demand_{number:032x}")


def names(offers: list[Offer]) -> list[str]:
    return [found.node_id for found in offers]


changes = st.tuples(
    st.sampled_from(NAMES[:12]),
    st.sampled_from(
        [
            {},
            {"accepting": False},
            {"free": capacity(cores=0)},
            {"total": capacity(cores=32), "free": capacity(cores=32), "region": "us"},
            {"base": 1_000},
            None,
        ]
    ),
)
orders = st.tuples(st.sampled_from([ANY, CHEAP, LARGE]), st.sets(st.sampled_from(NAMES[:12])))


@given(st.lists(changes | orders, max_size=40))
def test_it_draws_what_the_plain_rules_draw_whatever_has_happened(happened: list[object]) -> None:
    candidates = Candidates()
    there: dict[str, Offer] = {}
    for number, item in enumerate(happened):
        match item:
            case Demand() as wanted, set(excluded):
                asked = numbered(wanted, number)
                out = frozenset(PLAIN[name].node_id for name in excluded)
                fit = [o for o in eligible(there.values(), asked) if o.node_id not in out]
                drawn = candidates.draw(asked, excluded=out)
                assert names(drawn) == names(sample(fit, asked.demand_id))
            case str(name), None:
                there.pop(name, None)
                candidates.drop(PLAIN[name].node_id)
            case str(name), dict(changed):
                there[name] = offer(name, **changed)
                candidates.put(there[name])
    assert len(candidates) == len(there)
    assert names(candidates.offers()) == names(list(there.values()))


@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 2**32))
@settings(max_examples=30)
def test_the_order_in_which_nodes_came_does_not_matter(chosen: set[str], number: int) -> None:
    asked = numbered(ANY, number)
    came = [PLAIN[name] for name in sorted(chosen)]
    one, other = Candidates(came), Candidates()
    for item in reversed(came):
        other.put(item)
    assert (
        names(one.draw(asked)) == names(other.draw(asked)) == names(sample(came, asked.demand_id))
    )


def test_a_walk_ends_when_the_pool_is_full() -> None:
    candidates = Candidates(PLAIN.values())
    candidates.draw(ANY)
    assert candidates.looks == POOL_SIZE


def test_what_few_nodes_meet_is_listed_once_and_the_list_is_kept_up() -> None:
    candidates = Candidates(PLAIN.values())
    rare = offer(NAMES[7], total=capacity(cores=32), free=capacity(cores=32), region="us")
    candidates.put(rare)
    assert names(candidates.draw(LARGE)) == [rare.node_id]
    before = candidates.looks
    for number in range(100):
        assert names(candidates.draw(numbered(LARGE, number))) == [rare.node_id]
    assert candidates.looks - before == 100  # one look an order, not four hundred
    candidates.put(replace(rare, free=capacity(cores=1)))
    assert candidates.draw(LARGE) == []
    candidates.put(replace(rare, region="eu"))
    second = offer(NAMES[9], total=capacity(cores=32), free=capacity(cores=32), region="us")
    candidates.put(second)
    assert names(candidates.draw(LARGE)) == [second.node_id]
    candidates.drop(second.node_id)
    assert candidates.draw(LARGE) == []


def test_a_heartbeat_holds_the_node_against_no_demand() -> None:
    candidates = Candidates(PLAIN.values())
    for number in range(10):
        candidates.draw(numbered(LARGE, number))
    before = candidates.looks
    candidates.put(replace(PLAIN[NAMES[0]], free=capacity(cores=1), accepting=False))
    assert candidates.looks == before
    candidates.put(replace(PLAIN[NAMES[0]], region="us"))
    assert candidates.looks == before + 1


def test_shapes_without_end_are_forgotten() -> None:
    candidates = Candidates(PLAIN[name] for name in NAMES[:3])
    for number in range(2 * SHAPES_MAX):
        wanted = replace(ANY, max_price_micro_usdc_per_hour=number)
        for again in range(3):
            candidates.draw(numbered(wanted, again))
    before = candidates.looks
    candidates.put(replace(PLAIN[NAMES[0]], region="us"))
    assert candidates.looks - before == SHAPES_MAX


def test_a_node_that_was_left_out_can_show_it_with_one_that_was_asked() -> None:
    """Of two nodes, the one nearer on the ring and with the better draw is asked first."""
    candidates = Candidates(PLAIN.values())
    for number in range(20):
        asked = numbered(ANY, number)
        start = start_of(asked.demand_id)
        drawn = names(candidates.draw(asked))
        for left_out in set(candidates_ids()) - set(drawn):
            for taken in drawn:
                near, far = place_of(left_out), place_of(taken)
                is_nearer = (near < start, near) < (far < start, far)
                pair = [o for o in PLAIN.values() if o.node_id in (left_out, taken)]
                draws_better = sample(pair, asked.demand_id, size=1)[0].node_id == left_out
                assert not (is_nearer and draws_better)


def candidates_ids() -> list[str]:
    return [item.node_id for item in list(PLAIN.values())[:60]]


def test_everybody_in_a_large_market_is_asked_about_equally_often() -> None:
    """The pool is a stretch of the ring: how long its neighbours' gaps are must not matter much."""
    candidates = Candidates(PLAIN.values())
    orders = 2_000
    asked = Counter(
        item.node_id for number in range(orders) for item in candidates.draw(numbered(ANY, number))
    )
    fair = orders * 8 / len(PLAIN)
    assert len(asked) == len(PLAIN)
    assert 0.4 * fair < min(asked.values())
    assert max(asked.values()) < 1.8 * fair


def test_weights_count_in_a_large_market_too() -> None:
    candidates = Candidates(PLAIN.values())
    heavy = {PLAIN[name].node_id: 1000 for name in NAMES[:200]}
    asked = Counter(
        item.node_id in heavy
        for number in range(2_000)
        for item in candidates.draw(numbered(ANY, number), weights=heavy)
    )
    assert 1.75 < asked[True] / asked[False] < 2.05
