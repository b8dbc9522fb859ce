"""Ten thousand nodes, hundreds of seeds; a failure names its seed, and the seed repeats it."""

import pytest

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.matching import SAMPLE_SIZE, eligible, sample
from neurogrid_marketplace.sealing import BidFault

from .big_market import BigMarket
from .clockwork import Chaos
from .fleet import LARGEST
from .plot import MARKET_SVG, drawn, measured
from .seeds import seeds

ORDERS = 6
CALM = Chaos()
STORM = Chaos(loss=0.1, duplication=0.1, delay_ms=400)


@pytest.mark.parametrize("seed", seeds(200))
def test_every_order_ends_by_the_rules_in_a_market_of_ten_thousand(seed: int) -> None:
    """Two in five seeds are storms, one in four has sealed bids."""
    is_storm, sealed = seed % 5 < 2, seed % 4 == 0
    market = BigMarket(
        seed, STORM if is_storm else CALM, size=LARGEST, orders=ORDERS, sealed=sealed
    )
    market.run()
    market.check()
    for item in market.orders:
        # Demands and answers, award and answer: 2k + 2, and for sealed bids twice as many before. What
        # arrives twice in a storm is answered twice.
        talk = item.asked * (4 if sealed else 2)
        if is_storm:
            assert item.messages <= talk * 1.5 + 3 * item.awards
        else:
            assert item.messages <= talk + 3
            assert item.asked == SAMPLE_SIZE
            assert item.winner is not None
            assert item.winner is item.ranking[0]
            assert not item.call.faults


@pytest.mark.parametrize("seed", range(20))
def test_the_index_draws_what_the_plain_rules_draw_in_a_market_that_moves(seed: int) -> None:
    """Nodes are taken and become free between the orders; nothing of that may go stale."""
    market = BigMarket(seed, CALM, size=300, orders=60)
    expected: list[list[str]] = []

    def note(demand: Demand) -> None:
        fit = eligible(market.candidates.offers(), demand)
        expected.append([offer.node_id for offer in sample(fit, demand.demand_id)])

    market.before_draw = note
    market.run()
    market.check()
    for item, names in zip(market.orders, expected, strict=True):
        first_round = [name for name in names if name in item.call.auction.asked]
        assert first_round == names


def test_the_same_seed_is_the_same_market() -> None:
    def told(seed: int) -> list[object]:
        market = BigMarket(seed, STORM, size=1_000, orders=ORDERS, sealed=True)
        market.run()
        return [(item.messages, item.looks, item.ranking) for item in market.orders]

    assert told(1) == told(1) != told(2)


def test_the_storms_do_hurt() -> None:
    """Otherwise the seeds above would prove nothing."""
    markets = [
        BigMarket(seed, STORM, size=1_000, orders=20, sealed=seed % 2 == 0) for seed in range(10)
    ]
    for market in markets:
        market.run()
        market.check()
    orders = [item for market in markets for item in market.orders]
    assert any(item.awards > 1 for item in orders)
    assert any(len(item.ranking) < item.asked for item in orders)
    assert any(BidFault.NOT_REVEALED in item.call.faults.values() for item in orders)


def test_a_node_that_boasts_of_its_starts_is_counted_with_the_truth() -> None:
    market = BigMarket(1, CALM, size=20, orders=400)
    market.run()
    market.check()
    boasters = [name for name, seller in market.sellers.items() if seller.boast < 1]
    known = {name: market.factors[name] for name in boasters if name in market.factors}
    assert known
    assert all(factor > 1_500 for factor in known.values())
    honest = [f for name, f in market.factors.items() if name not in boasters]
    assert max(honest) < 1_300


def test_messages_and_looks_per_order_do_not_grow_with_the_market() -> None:
    """What docs/market-scale.svg shows."""
    points = measured()
    first, last = points[0], points[-1]
    assert (first.nodes, last.nodes) == (100, LARGEST)
    for point in points:
        assert point.messages_most <= 2 * SAMPLE_SIZE + 3
        assert point.looks_later < 150
    # A hundred times the nodes: a few times the looks while shapes are new, and then the same.
    assert last.looks_at_first < 10 * first.looks_at_first
    assert last.looks_later < 150
    assert MARKET_SVG.read_text() == drawn(points), (
        "run: PYTHONPATH=tests python -m simulation.plot"
    )
