from hypothesis import given
from hypothesis import strategies as st

from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.explain import explain
from neurogrid_marketplace.matching import eligible
from neurogrid_marketplace.network import Network, NetworkTerms
from neurogrid_marketplace.resources import Requirements

from .market import capacity, demand, offer

markets = st.lists(
    st.builds(
        lambda n, base, region, cores: offer(
            f"node-{n}", base=base, region=region, total=capacity(cores), free=capacity(cores)
        ),
        st.integers(0, 30),
        st.integers(1, 200_000),
        st.sampled_from(["eu", "us"]),
        st.integers(1, 16),
    ),
    max_size=12,
    unique_by=lambda item: item.node_id,
)


@given(markets)
def test_survivors_only_get_fewer_and_end_with_the_eligible(nodes: list) -> None:  # type: ignore[type-arg]  # of offers
    wanted = demand(requirements=Requirements(cpu_millis=4000, regions=("eu",)))
    found = explain(nodes, wanted)
    left = [found.nodes, *(step.left for step in found.survivors)]
    assert left == sorted(left, reverse=True)
    assert left[-1] == found.matching == len(eligible(nodes, wanted))


@given(markets)
def test_the_clearing_price_clears(nodes: list) -> None:  # type: ignore[type-arg]  # of offers
    wanted = demand(requirements=Requirements(regions=("eu",)))
    price = explain(nodes, wanted).clearing_price_micro_usdc_per_hour
    if price is None:
        return
    at_that_price = demand(
        requirements=Requirements(regions=("eu",)), max_price_micro_usdc_per_hour=price
    )
    assert eligible(nodes, at_that_price)


def test_the_one_relaxation_is_the_one_that_lets_most_nodes_in() -> None:
    nodes = [offer("a", region="us"), offer("b", region="us"), offer("c", base=200_000)]
    found = explain(nodes, demand(requirements=Requirements(regions=("eu",))))
    assert found.relaxation is not None
    assert (found.relaxation.constraint, found.relaxation.nodes) == ("region", 2)
    assert "without region 2 would" in found.sentence()


def test_the_nearest_misses_say_by_how_much() -> None:
    found = explain([offer("a")], demand(requirements=Requirements(memory_bytes=64 * 10**9)))
    assert found.nearest[0].reasons[0] == "ram: has 34.4 GB of memory; asked for 64 GB"


def test_an_empty_market_says_so() -> None:
    assert explain([], demand()).sentence() == "No node is connected."


def test_declines_are_counted_by_code() -> None:
    node = offer("a")
    declines = {node.node_id: Decline(demand().demand_id, DeclineCode.BUSY)}
    found = explain([node], demand(), declines)
    assert found.declines == {"busy": 1}
    assert "declined: 1 busy" in found.sentence()


def test_who_does_not_let_a_job_reach_its_hosts_is_near_and_says_which() -> None:
    some = NetworkTerms(("example.org",), (), 1, 1)
    nodes = [offer("a"), offer("b", network=some), offer("c", network=NetworkTerms((), (), 1, 1))]
    wanted = demand(network=Network(("example.org", "*.example.com")))
    found = explain(nodes, wanted)
    assert (found.matching, len(eligible(nodes, wanted))) == (1, 1)
    assert {miss.reasons for miss in found.nearest} == {
        ("network: lets jobs reach no network",),
        ("network: does not let jobs reach *.example.com",),
    }
    without = explain(nodes[:2], wanted)
    assert without.relaxation is not None
    assert (without.relaxation.constraint, without.relaxation.nodes) == ("network", 2)
    assert "network" not in [step.constraint for step in explain(nodes, demand()).survivors]
