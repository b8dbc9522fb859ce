import asyncio
from functools import partial

from coordinator.market_nodes import NOW_MS, FakeNode
from coordinator.on_asyncio import on_asyncio
from coordinator.test_market_auctioneer import sealed
from neurogrid_coordinator.market.deliveries import Deliveries, NodeChange
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Message, Meter

NODE, OTHER = FakeNode(), FakeNode()
# A message that is dealt with at once, whoever says it.
QUICK = 1_000


def view(number: int = 0) -> NodeView:
    return NodeView(NODE.offer(), NOW_MS, NOW_MS + number, ())


def meter(number: int) -> Meter:
    return Meter("lease_" + "0" * 32, number, number)


async def settled() -> None:
    """Whatever needs nothing but turns of the loop has happened."""
    for _ in range(200):
        await asyncio.sleep(0)


class Api:
    """Callbacks that write down what they are told, and wait at a gate for one node."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []
        self.taken: list[str] = []
        self.gate = asyncio.Event()
        self.deliveries = Deliveries(self.on_message, self.on_node)

    async def on_message(self, node_id: str, envelope: Envelope, message: Message) -> None:
        assert isinstance(message, Meter)
        if node_id == NODE.node_id and message.metered_ms != QUICK:
            await self.gate.wait()
        self.told.append((node_id, message.metered_ms))

    async def on_node(self, node_id: str, change: NodeChange, seen: NodeView) -> None:
        self.told.append((node_id, (change, seen.last_heard_ms - NOW_MS)))

    def say(self, node: FakeNode, number: int, lane: str = "") -> None:
        envelope, lane = sealed(node, meter(number)), lane or node.node_id
        self.deliveries.said(lane, node.node_id, envelope, lambda: self.taken.append(lane))


@on_asyncio
async def test_each_node_is_heard_in_order_and_a_slow_callback_delays_one_alone() -> None:
    api = Api()
    for number in range(5):
        api.say(NODE, number)
        api.say(OTHER, number)
    await settled()
    assert api.told == [(OTHER.node_id, number) for number in range(5)]
    assert api.taken == [OTHER.node_id] * 5
    api.gate.set()
    await settled()
    assert api.told[5:] == [(NODE.node_id, number) for number in range(5)]
    assert len(api.taken) == 10
    assert api.deliveries.waiting == 0


@on_asyncio
async def test_a_lane_waits_for_no_other_lane_of_its_node() -> None:
    api = Api()
    api.say(NODE, 0, "flooded lease")
    api.say(NODE, QUICK, "another lease")
    api.deliveries.changed(NODE.node_id, "joined", view())
    await settled()
    assert sorted(api.told, key=str) == [
        (NODE.node_id, ("joined", 0)),
        (NODE.node_id, QUICK),
    ]
    assert api.taken == ["another lease"]
    api.gate.set()
    await settled()
    assert api.taken == ["another lease", "flooded lease"]


@on_asyncio
async def test_changes_that_wait_are_merged_between_messages() -> None:
    api = Api()
    node_id = NODE.node_id
    api.say(NODE, 0)
    await asyncio.sleep(0)
    api.deliveries.changed(node_id, "joined", view(1))
    api.deliveries.changed(node_id, "heartbeat", view(2))
    api.deliveries.changed(node_id, "heartbeat", view(3))
    api.say(NODE, 4)
    api.deliveries.changed(node_id, "heartbeat", view(5))
    api.deliveries.changed(node_id, "left", view(6))
    api.say(NODE, 7)
    for number in range(100):
        api.deliveries.changed(node_id, "joined", view(number))
        api.deliveries.changed(node_id, "left", view(number))
    assert api.deliveries.waiting == 5
    api.gate.set()
    await settled()
    assert [told for _, told in api.told] == [
        0,
        ("joined", 3),
        4,
        ("left", 6),
        7,
        ("left", 99),
    ]


@on_asyncio
async def test_a_callback_that_raises_is_logged_and_the_next_one_called() -> None:
    told: list[int] = []
    taken: list[int] = []

    async def on_message(node_id: str, envelope: Envelope, message: Message) -> None:
        assert isinstance(message, Meter)
        if message.metered_ms == 0:
            raise RuntimeError("boom")
        told.append(message.metered_ms)

    async def on_node(node_id: str, change: NodeChange, seen: NodeView) -> None:
        raise RuntimeError("boom")

    deliveries = Deliveries(on_message, on_node)
    deliveries.changed(NODE.node_id, "joined", view())
    for number in range(3):
        envelope = sealed(NODE, meter(number))
        deliveries.said(NODE.node_id, NODE.node_id, envelope, partial(taken.append, number))
    await settled()
    assert told == [1, 2]
    assert taken == [0, 1, 2]


@on_asyncio
async def test_closing_ends_what_is_under_way() -> None:
    api = Api()
    api.say(NODE, 0)
    await asyncio.sleep(0)
    await api.deliveries.aclose()
    assert api.told == []
    assert api.deliveries.waiting == 0
