from dataclasses import replace

from coordinator.market_nodes import NOW_MS, FakeNode, demand
from neurogrid_coordinator.market.directory import Directory
from neurogrid_marketplace.messages import Hello
from neurogrid_marketplace.standing import UNKNOWN

STAKED = replace(UNKNOWN, stake_micro_usdc=10_000_000)


def test_nodes_with_less_at_risk_than_the_least_stake_are_not_asked() -> None:
    directory = Directory(min_stake_micro_usdc=10_000_000)
    rich, poor, unknown = FakeNode(), FakeNode(), FakeNode()
    for node in (rich, poor, unknown):
        directory.join(Hello(node.offer()), NOW_MS)
    less = replace(STAKED, stake_micro_usdc=9_999_999)
    directory.stand({rich.node_id: STAKED, poor.node_id: less})
    assert directory.understaked == {poor.node_id, unknown.node_id}
    # A stake may be raised, and taken back.
    directory.stand({poor.node_id: STAKED, rich.node_id: less})
    assert directory.understaked == {rich.node_id, unknown.node_id}
    directory.leave(rich.node_id)
    assert directory.understaked == {unknown.node_id}


def test_without_a_least_stake_everybody_is_asked() -> None:
    directory = Directory()
    directory.join(Hello(FakeNode().offer()), NOW_MS)
    assert directory.understaked == set()
    names = [survivors.constraint for survivors in directory.explain(demand()).survivors]
    assert "min_stake" not in names


def test_the_least_stake_is_explained_and_not_proposed_to_be_given_up() -> None:
    directory = Directory(min_stake_micro_usdc=10_000_000)
    node = FakeNode()
    directory.join(Hello(node.offer()), NOW_MS)
    found = directory.explain(demand())
    assert (found.matching, found.relaxation) == (0, None)
    last = found.survivors[-1]
    assert (last.constraint, last.left) == ("min_stake", 0)
    (miss,) = found.nearest
    assert miss.reasons == ("min_stake: has staked 0.00 USDC; this coordinator asks for 10.00",)
    directory.stand({node.node_id: STAKED})
    assert directory.explain(demand()).matching == 1
