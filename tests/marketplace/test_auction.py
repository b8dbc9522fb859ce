from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.auction import Auction, RankedBid
from neurogrid_marketplace.bid import Decline, DeclineCode

from .market import bid, demand

MAX = 100_000


@dataclass(frozen=True)
class Placed:
    """A bid, by price, time to start, owner and the factor of its node."""

    price: int
    start_ms: int = 0
    owner: str = ""
    factor: int = 1000


Bids = dict[str, Placed]
names = st.integers(0, 9).map(lambda n: f"node-{n}")
placed_bids = st.builds(
    Placed,
    price=st.integers(1, 120_000),
    start_ms=st.integers(0, 60_000),
    owner=st.sampled_from(["", "", "", "farm", "other farm"]),
    factor=st.sampled_from([1000, 1000, 1500, 10_000]),
)
bids = st.dictionaries(names, placed_bids, max_size=8)


def auction(placed: Bids) -> Auction:
    held = Auction(MAX, frozenset(placed))
    for node, item in placed.items():
        held.bid(node, bid(item.price, item.start_ms, owner=item.owner or node), node)
    return held


def ranking(placed: Bids) -> tuple[RankedBid, ...]:
    return auction(placed).ranking({node: item.factor for node, item in placed.items()})


@given(bids)
def test_nobody_is_paid_less_than_the_bid_or_more_than_the_maximum(placed: Bids) -> None:
    for ranked in ranking(placed):
        asked = placed[ranked.node_id].price
        assert asked <= ranked.award_price_micro_usdc_per_hour <= MAX


@given(bids, st.randoms(use_true_random=False))
def test_the_ranking_does_not_depend_on_the_order_of_arrival(placed: Bids, random: object) -> None:
    shuffled = list(placed.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis's own Random
    assert ranking(placed) == ranking(dict(shuffled))


@given(bids)
def test_the_next_of_another_owner_sets_the_price(placed: Bids) -> None:
    ranked = ranking(placed)
    for place, item in enumerate(ranked):
        others = [other for other in ranked[place + 1 :] if other.bid.wallet != item.bid.wallet]
        price = item.bid.price_micro_usdc_per_hour
        if others:
            waiting = item.score - price
            price = max(price, others[0].score - waiting)
        assert item.award_price_micro_usdc_per_hour == min(price, MAX)


def test_a_slow_start_has_to_be_cheaper() -> None:
    assert ranking({"fast": Placed(50_000, 500), "slow": Placed(49_990, 60_000)})[0].node_id == (
        "fast"
    )


def test_a_node_that_takes_longer_than_it_says_has_to_be_cheaper_too() -> None:
    late = Placed(50_000, 1_000, factor=2000)
    first, second = ranking({"late": late, "punctual": Placed(50_050, 1_000)})
    assert (first.node_id, second.node_id) == ("punctual", "late")
    # Two seconds of waiting are two per mille of the maximum.
    assert (second.score, second.start_factor_permille) == (50_200, 2000)


def test_ties_go_to_the_smaller_node_id() -> None:
    assert ranking({"b": Placed(1), "a": Placed(1)})[0].node_id == "a"


def test_a_lone_bidder_is_paid_its_bid() -> None:
    assert ranking({"a": Placed(40_000)})[0].award_price_micro_usdc_per_hour == 40_000


def test_an_owner_with_two_nodes_and_no_competition_is_paid_its_bid() -> None:
    alone = {"a": Placed(40_000, owner="farm"), "b": Placed(90_000, owner="farm")}
    assert [ranked.award_price_micro_usdc_per_hour for ranked in ranking(alone)] == [40_000, 90_000]


def test_only_the_first_answer_of_an_asked_node_counts() -> None:
    held = Auction(MAX, frozenset({"a", "b"}))
    held.bid("a", bid(50), "first")
    held.bid("a", bid(10), "second")
    held.bid("stranger", bid(1), "x")
    held.decline("b", Decline(demand().demand_id, DeclineCode.BUSY))
    held.bid("b", bid(1), "late")
    assert [ranked.bid_hash for ranked in held.ranking()] == ["first"]
    assert held.has_bid("a")
    assert held.has_answered("b")
    assert not held.has_bid("b")


def test_a_bid_above_the_maximum_is_none() -> None:
    assert ranking({"a": Placed(MAX + 1)}) == ()
