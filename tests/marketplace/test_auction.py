from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Decline, DeclineCode

from .market import bid, demand

MAX = 100_000
bids = st.dictionaries(
    st.integers(0, 9).map(lambda n: f"node-{n}"),
    st.tuples(st.integers(1, 120_000), st.integers(0, 60_000)),
    max_size=8,
)


def auction(placed: dict[str, tuple[int, int]]) -> Auction:
    held = Auction(MAX, frozenset(placed))
    for node, (price, start_ms) in placed.items():
        held.bid(node, bid(price, start_ms), node)
    return held


@given(bids)
def test_nobody_is_paid_less_than_the_bid_or_more_than_the_maximum(
    placed: dict[str, tuple[int, int]],
) -> None:
    for ranked in auction(placed).ranking():
        asked = placed[ranked.node_id][0]
        assert asked <= ranked.award_price_micro_usdc_per_hour <= MAX


@given(bids)
def test_the_ranking_does_not_depend_on_the_order_of_arrival(
    placed: dict[str, tuple[int, int]],
) -> None:
    assert auction(placed).ranking() == auction(dict(reversed(placed.items()))).ranking()


@given(bids, st.integers(1, 120_000))
def test_a_bidder_gains_nothing_by_asking_for_something_else_than_its_cost(
    others: dict[str, tuple[int, int]], lie: int
) -> None:
    """Second-score: with competition, the profit of bidding the true cost is never beaten."""
    cost, start_ms = 50_000, 1_000
    others = {node: placed for node, placed in others.items() if placed[0] <= MAX}
    if not others:
        return  # a lone bidder is paid its bid: docs/adr/0004-second-score.md

    def profit(price: int) -> int:
        first = auction({**others, "us": (price, start_ms)}).ranking()[0]
        won = first.node_id == "us"
        return first.award_price_micro_usdc_per_hour - cost if won else 0

    # One micro-USDC per hour of rounding in the waiting part.
    assert profit(cost) >= profit(lie) - 1


def test_a_slow_start_has_to_be_cheaper() -> None:
    ranking = auction({"fast": (50_000, 500), "slow": (49_990, 60_000)}).ranking()
    assert ranking[0].node_id == "fast"


def test_ties_go_to_the_smaller_node_id() -> None:
    assert auction({"b": (1, 0), "a": (1, 0)}).ranking()[0].node_id == "a"


def test_a_lone_bidder_is_paid_its_bid() -> None:
    assert auction({"a": (40_000, 0)}).ranking()[0].award_price_micro_usdc_per_hour == 40_000


def test_only_the_first_answer_of_an_asked_node_counts() -> None:
    held = Auction(MAX, frozenset({"a", "b"}))
    held.bid("a", bid(50), "first")
    held.bid("a", bid(10), "second")
    held.bid("stranger", bid(1), "x")
    held.decline("b", Decline(demand().demand_id, DeclineCode.BUSY))
    held.bid("b", bid(1), "late")
    assert [ranked.bid_hash for ranked in held.ranking()] == ["first"]
    assert held.complete()


def test_a_bid_above_the_maximum_is_none() -> None:
    assert auction({"a": (MAX + 1, 0)}).ranking() == ()
