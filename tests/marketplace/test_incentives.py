"""With competition, nobody gains by lying: about its price, its start, or how many it is.

Every property compares what an owner earns when its node bids the truth with what it earns when
it does anything else, against the same others. One micro-USDC per hour of rounding is allowed. A
lone bidder is paid its bid and could ask for more: docs/adr/0004-second-score.md.
"""

from hypothesis import assume, example, given
from hypothesis import strategies as st

from neurogrid_marketplace.calibration import STARTS_KEPT, MeasuredStart, start_factor_permille

from .test_auction import MAX, Bids, Placed, placed_bids, ranking

COST, START_MS = 50_000, 4_000
TRUTH = Placed(COST, START_MS, owner="us")
OURS = frozenset({"us", "us too"})
# Names on both sides of ours, so that ties go either way.
rivals = st.dictionaries(st.sampled_from(["a", "b", "c", "x", "y", "z"]), placed_bids, min_size=1)
prices, starts = st.integers(0, 120_000), st.integers(0, 60_000)


def profit(ours: Bids, others: Bids) -> int:
    """What our owner has from the auction: the price of the winning bid less what the work costs."""
    best = ranking({**others, **ours})[0]
    return best.award_price_micro_usdc_per_hour - COST if best.node_id in OURS else 0


def competing(others: Bids) -> Bids:
    """Rivals that may win at all; the test is void without one."""
    able = {name: item for name, item in others.items() if item.price <= MAX}
    assume(able)
    return able


def settled(said: Placed) -> Placed:
    """A bid of ours, in the steady state: its node has long said this of every start."""
    measured = [MeasuredStart(said.start_ms, START_MS)] * STARTS_KEPT
    return Placed(said.price, said.start_ms, said.owner, start_factor_permille(measured))


@given(rivals, prices)
def test_a_lie_about_the_price_gains_nothing(others: Bids, price: int) -> None:
    others = competing(others)
    lie = Placed(price, START_MS, owner="us")
    assert profit({"us": TRUTH}, others) >= profit({"us": lie}, others) - 1


@given(rivals, starts)
@example({"a": Placed(50_300)}, 0)
def test_a_lie_about_the_start_gains_nothing_in_the_steady_state(
    others: Bids, start_ms: int
) -> None:
    others = competing(others)
    lie = settled(Placed(COST, start_ms, owner="us"))
    assert profit({"us": TRUTH}, others) >= profit({"us": lie}, others) - 1


@given(rivals, prices, starts)
def test_lies_about_both_at_once_gain_nothing(others: Bids, price: int, start_ms: int) -> None:
    others = competing(others)
    lie = settled(Placed(price, start_ms, owner="us"))
    assert profit({"us": TRUTH}, others) >= profit({"us": lie}, others) - 1


def test_without_the_factor_understating_would_gain() -> None:
    """Otherwise the two tests before would prove nothing."""
    others = {"a": Placed(50_300)}
    lie = Placed(COST, 0, owner="us")
    assert profit({"us": TRUTH}, others) == 0
    assert profit({"us": lie}, others) > 0


@given(rivals, prices, prices, starts)
def test_a_second_node_of_the_same_owner_does_not_set_the_price_of_the_first(
    others: Bids, price: int, second_price: int, second_start_ms: int
) -> None:
    others = competing(others)
    two = {
        "us": Placed(price, START_MS, owner="us"),
        "us too": settled(Placed(second_price, second_start_ms, owner="us")),
    }
    assert profit({"us": TRUTH}, others) >= profit(two, others) - 1


def test_where_nobody_competes_a_second_node_helps_only_under_another_wallet() -> None:
    """A shill raises no price against competition. Alone, what stops it is the wallet, and with
    another one the stake that it takes (docs/adr/0019-one-wallet-one-second-score.md)."""
    shill = Placed(90_000, owner="us")
    assert profit({"us": TRUTH, "us too": shill}, {}) == 0
    shill = Placed(90_000, owner="another wallet of ours")
    assert profit({"us": TRUTH, "us too": shill}, {}) > 0
    assert profit({"us": TRUTH, "us too": shill}, {"a": Placed(60_000)}) == profit(
        {"us": TRUTH}, {"a": Placed(60_000)}
    )
