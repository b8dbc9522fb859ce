"""Seats of a gang: who gets them, and that nobody gains by lying about price, start or number."""

from collections.abc import Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neurogrid_marketplace.auction import Auction, RankedBid
from neurogrid_marketplace.calibration import STARTS_KEPT, MeasuredStart, start_factor_permille
from neurogrid_marketplace.call import Call
from neurogrid_marketplace.gang import Apart, Gang

from .market import bid, demand
from .test_auction import MAX, Bids, Placed, bids

THREE = Gang(3)
COST, START_MS = 50_000, 4_000
OURS = ("us", "us too")
gangs = st.builds(Gang, st.integers(2, 4), st.sampled_from(Apart))
# What other owners' nodes bid, all within the maximum; two owners have several.
rivals = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e", "x", "y", "z"]),
    st.builds(
        Placed,
        price=st.integers(1, MAX),
        start_ms=st.integers(0, 60_000),
        owner=st.sampled_from(["", "", "farm", "other farm"]),
    ),
    min_size=4,
)
costs, starts = st.integers(1, 90_000), st.integers(0, 60_000)


def ranking(placed: Bids, gang: Gang) -> tuple[RankedBid, ...]:
    held = Auction(MAX, frozenset(placed), gang)
    for node, item in placed.items():
        held.bid(node, bid(item.price, item.start_ms, owner=item.owner or node), node)
    return held.ranking({node: item.factor for node, item in placed.items()})


def seats(placed: Bids, gang: Gang) -> tuple[RankedBid, ...]:
    """Who is awarded; nobody where there are not enough."""
    ranked = ranking(placed, gang)
    if gang.apart is Apart.WALLET:
        owners = {item.owner or node for node, item in placed.items() if item.price <= MAX}
        return ranked[: gang.size] if len(owners) >= gang.size else ()
    return ranked[: gang.size] if len(ranked) >= gang.size else ()


def profit(ours: Mapping[str, Placed], cost: Mapping[str, int], others: Bids, gang: Gang) -> int:
    """What our owner has: the prices of its seats less what the work costs there."""
    return sum(
        seat.award_price_micro_usdc_per_hour - cost[seat.node_id]
        for seat in seats({**others, **ours}, gang)
        if seat.node_id in cost
    )


def competing(others: Bids, gang: Gang) -> Bids:
    """Rivals that could fill the gang without us; the test is void without them."""
    owners = {item.owner or node for node, item in others.items()}
    able = len(owners if gang.apart is Apart.WALLET else others)
    assume(able >= gang.size)
    return others


def said(price: int, start_ms: int) -> Placed:
    """A bid of ours, in the steady state: its node has long said this of every start."""
    measured = [MeasuredStart(start_ms, START_MS)] * STARTS_KEPT
    return Placed(price, start_ms, "us", start_factor_permille(measured))


def test_the_lowest_scores_win_and_all_are_paid_the_first_that_lost() -> None:
    placed = {name: Placed(price) for name, price in zip("abcde", range(10, 60, 10), strict=True)}
    won = seats(placed, THREE)
    assert [seat.node_id for seat in won] == ["a", "b", "c"]
    assert [seat.award_price_micro_usdc_per_hour for seat in won] == [40, 40, 40]


def test_an_owner_of_two_seats_is_paid_what_its_absence_would_cost() -> None:
    placed = {
        "a": Placed(10, owner="farm"),
        "b": Placed(20, owner="farm"),
        "c": Placed(30),
        "d": Placed(40),
        "e": Placed(50),
    }
    won = seats(placed, THREE)
    assert [seat.award_price_micro_usdc_per_hour for seat in won] == [40, 50, 40]


def test_apart_by_owner_an_owner_has_one_seat_and_its_next_node_prices_none() -> None:
    placed = {
        "a": Placed(10, owner="farm"),
        "b": Placed(20, owner="farm"),
        "c": Placed(30),
        "d": Placed(40),
        "e": Placed(50),
    }
    won = seats(placed, Gang(3, Apart.WALLET))
    assert [seat.node_id for seat in won] == ["a", "c", "d"]
    assert [seat.award_price_micro_usdc_per_hour for seat in won] == [50, 50, 50]


def test_where_no_loser_is_left_each_is_paid_its_bid() -> None:
    placed = {name: Placed(price) for name, price in zip("abc", (10, 20, 30), strict=True)}
    assert [seat.award_price_micro_usdc_per_hour for seat in seats(placed, THREE)] == [10, 20, 30]


@given(bids, gangs)
def test_nobody_is_paid_less_than_the_bid_or_more_than_the_maximum(
    placed: Bids, gang: Gang
) -> None:
    for ranked in ranking(placed, gang):
        asked = placed[ranked.node_id].price
        assert asked <= ranked.award_price_micro_usdc_per_hour <= MAX


@given(bids, gangs, st.randoms(use_true_random=False))
def test_the_seats_do_not_depend_on_the_order_of_arrival(
    placed: Bids, gang: Gang, random: object
) -> None:
    shuffled = list(placed.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis's own Random
    assert ranking(placed, gang) == ranking(dict(shuffled), gang)


@given(bids, gangs)
def test_no_node_and_apart_by_owner_no_owner_has_two_seats(placed: Bids, gang: Gang) -> None:
    won = seats(placed, gang)
    assert len({seat.node_id for seat in won}) == len(won)
    if gang.apart is Apart.WALLET:
        assert len({seat.bid.wallet for seat in won}) == len(won)


@given(rivals, gangs, costs, costs, costs, costs, starts, starts)
def test_no_owner_of_one_or_two_nodes_gains_by_lying_about_prices_and_starts(
    others: Bids,
    gang: Gang,
    cost: int,
    cost_too: int,
    one: int,
    two: int,
    start: int,
    start_too: int,
) -> None:
    others = competing(others, gang)
    cost_of = dict(zip(OURS, (cost, cost_too), strict=True))
    truth = {name: said(cost_of[name], START_MS) for name in OURS}
    lie = dict(zip(OURS, (said(one, start), said(two, start_too)), strict=True))
    # One micro-USDC per hour of rounding for each seat.
    assert profit(truth, cost_of, others, gang) >= profit(lie, cost_of, others, gang) - 2


@given(rivals, gangs, costs, costs)
def test_no_owner_gains_by_holding_a_node_back(
    others: Bids, gang: Gang, cost: int, cost_too: int
) -> None:
    others = competing(others, gang)
    cost_of = dict(zip(OURS, (cost, cost_too), strict=True))
    truth = {name: said(cost_of[name], START_MS) for name in OURS}
    alone = {"us": truth["us"]}
    assert profit(truth, cost_of, others, gang) >= profit(alone, cost_of, others, gang) - 2


@pytest.mark.parametrize(
    ("size", "first", "second"), [(2, 8, 8), (3, 8, 8), (5, 10, 10), (32, 64, 0)]
)
def test_a_call_asks_enough_nodes_to_fill_a_gang_and_to_price_it(
    size: int, first: int, second: int
) -> None:
    drawn = [f"node-{number}" for number in range(64)]
    call = Call(demand(gang=Gang(size)), drawn)
    assert len(call.next_round()) == first
    for node in drawn[:size]:
        call.auction.bid(node, bid(10), node)
    assert len(call.next_round()) == second


def test_a_call_that_has_one_bid_more_than_seats_asks_nobody_else() -> None:
    call = Call(demand(gang=Gang(2)), [f"node-{number}" for number in range(64)])
    for node in call.next_round()[:3]:
        call.auction.bid(node, bid(10, owner=node), node)
    assert call.next_round() == ()
