"""The whole market: a real child process, and nodes that speak real libp2p."""

import asyncio
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from coordinator.market_nodes import (
    NETWORK,
    FakeNode,
    Farm,
    award,
    declining,
    demand,
    denying,
)
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.market import child
from neurogrid_coordinator.market.client import MarketClient
from neurogrid_coordinator.market.deliveries import NodeChange
from neurogrid_coordinator.market.errors import MarketAway, MarketBug, NodeUnreachable
from neurogrid_coordinator.market.lease_streams import LOG_GRANT_MAX_BYTES
from neurogrid_coordinator.market.process import MESSAGE_CREDIT
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_coordinator.market.settings import MarketSettings
from neurogrid_marketplace.bid import Decline, DeclineCode
from neurogrid_marketplace.envelope import Envelope, check_envelope
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    Deny,
    Message,
    Meter,
    NodeLeaseMessage,
    Stop,
)
from neurogrid_marketplace.price_sheet import ClassPrice, PriceSheet
from neurogrid_node.market.price_sheets import ask_prices
from neurogrid_p2p.address import through_relay
from neurogrid_p2p.limits import RelayLimits
from neurogrid_p2p.peer_lists import PeerLists
from neurogrid_wallet.keys import KeyPair

pytestmark = pytest.mark.processes

LEASE = "lease_" + "0" * 32


class Api:
    """A client, and what its callbacks were told."""

    def __init__(self, settings: MarketSettings) -> None:
        self.market = MarketClient(settings, self._on_message, self._on_node)
        # That a node joined may be told after it can be seen, so tests ask for it before.
        self.changes: defaultdict[str, list[NodeChange]] = defaultdict(list)
        self.said: list[tuple[str, NodeLeaseMessage]] = []
        self._gates: dict[str, asyncio.Event] = {}

    def hold_up(self, lease_id: str) -> asyncio.Event:
        """Take nothing about this lease until the event is set."""
        return self._gates.setdefault(lease_id, asyncio.Event())

    async def joined(self, *nodes: FakeNode) -> None:
        """Wait until these nodes, and no others, are there."""
        await self.until(lambda: {node.node_id for node in nodes} == set(self.market._nodes))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)

    async def _on_message(self, node_id: str, envelope: Envelope, message: Message) -> None:
        check_envelope(envelope, NETWORK)
        assert isinstance(message, NodeLeaseMessage)
        if gate := self._gates.get(message.lease_id):
            await gate.wait()
        self.said.append((node_id, message))

    async def _on_node(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        assert view.offer.node_id == node_id
        self.changes[node_id].append(change)


def settings_in(folder: Path) -> MarketSettings:
    key = folder / "coordinator.json"
    KeyPair.generate().write_solana_file(key)
    return MarketSettings(str(key), NETWORK, ("/ip4/127.0.0.1/tcp/0",))


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Api, Farm]]:
    api = Api(settings_in(folder))
    async with api.market as market:
        with Farm(market.addresses[0]) as farm:
            yield api, farm


@on_asyncio
async def test_nodes_reach_a_coordinator_through_the_relay_of_another(tmp_path: Path) -> None:
    for name in ("relaying", "hidden"):
        (tmp_path / name).mkdir()
    relaying = Api(replace(settings_in(tmp_path / "relaying"), relay=RelayLimits()))
    async with relaying.market:
        relay = relaying.market.addresses[0]
        hidden = Api(replace(settings_in(tmp_path / "hidden"), relays=(relay,)))
        async with hidden.market:
            through = hidden.market.addresses[-1]
            assert through == through_relay(relay, hidden.market.peer_id)
            with Farm(through) as farm:
                node = farm.add(FakeNode())
                await hidden.joined(node)
                report = await hidden.market.hold_auction(demand())
                assert list(report.bids) == [node.node_id]


@on_asyncio
async def test_sealed_bids_are_committed_to_and_shown_over_real_streams(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        cheap, dear = (farm.add(FakeNode(price=price)) for price in (300_000, 500_000))
        await api.joined(cheap, dear)
        report = await api.market.hold_auction(demand(sealed_bids=True))
        assert [ranked.node_id for ranked in report.ranking] == [cheap.node_id, dear.node_id]
        for node_id in report.bids:
            for envelope in (report.commits[node_id], report.reveals[node_id]):
                check_envelope(envelope, NETWORK)
        lists = [envelope.body["commitments"] for envelope in report.reveals.values()]
        assert (
            lists[0]
            == lists[1]
            == {
                node_id: envelope.body["commitment"] for node_id, envelope in report.commits.items()
            }
        )


@on_asyncio
async def test_three_nodes_bid_and_the_best_takes_the_lease_at_the_second_score(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (api, farm):
        cheap, middle, dear = (
            farm.add(FakeNode(price=price)) for price in (300_000, 400_000, 500_000)
        )
        await api.joined(cheap, middle, dear)
        terms = demand()
        report = await api.market.hold_auction(terms)
        assert [ranked.node_id for ranked in report.ranking] == [
            node.node_id for node in (cheap, middle, dear)
        ]
        best = report.ranking[0]
        assert best.award_price_micro_usdc_per_hour == 400_000
        assert report.bids[best.node_id].hash() == best.bid_hash
        for node_id in report.bids:
            check_envelope(report.bids[node_id], NETWORK)
            check_envelope(report.demands[node_id], NETWORK)
            assert report.bids[node_id].sender == report.demands[node_id].recipient == node_id
        offered = award(terms, best.bid_hash)
        answer = await api.market.award(best.node_id, offered)
        assert answer.accepted
        assert answer.award is not None
        assert answer.award.sender == api.market.peer_id
        assert answer.answer is not None
        check_envelope(answer.answer, NETWORK)
        attach = Attach(LEASE, has_start=False, events=0)
        await api.until(lambda: api.said == [(best.node_id, attach)])
        sent = await api.market.send(best.node_id, Acknowledge(LEASE, 1, 2))
        assert sent.type == "acknowledge"
        await api.until(lambda: len(cheap.heard) == 3)
        granted = Acknowledge(LEASE, 1, 2, log_limit_bytes=2 + LOG_GRANT_MAX_BYTES)
        assert cheap.heard == [terms, offered, granted]
        assert middle.heard == [terms]


@on_asyncio
async def test_declines_denials_and_silence_come_back_with_their_codes(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        busy = farm.add(FakeNode(answer=declining(Decline("demand_" + "0" * 32, DeclineCode.BUSY))))
        fickle = farm.add(FakeNode(answer=denying(Deny(LEASE, DeclineCode.TERMS_CHANGED))))
        await api.joined(busy, fickle)
        report = await api.market.hold_auction(demand())
        assert [ranked.node_id for ranked in report.ranking] == [fickle.node_id]
        assert report.declines[busy.node_id].code is DeclineCode.BUSY
        answer = await api.market.award(fickle.node_id, award(demand(), "0" * 64))
        assert (answer.accepted, answer.code) == (False, "terms_changed")
        farm.remove(fickle)
        await api.joined(busy)
        answer = await api.market.award(fickle.node_id, award(demand(), "0" * 64))
        assert (answer.accepted, answer.code) == (False, "unreachable")
        with pytest.raises(NodeUnreachable):
            await api.market.send(fickle.node_id, Acknowledge(LEASE, 0, 0))
        with pytest.raises(MarketBug, match="already"):
            await asyncio.gather(*(api.market.hold_auction(demand()) for _ in range(2)))


@on_asyncio
async def test_nodes_are_seen_heard_and_explained(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        with pytest.raises(NodeUnreachable):
            await api.market.send(FakeNode().node_id, Acknowledge(LEASE, 0, 0))
        here, dear = farm.add(FakeNode(region="eu")), farm.add(FakeNode(price=5_000_000))
        await api.joined(here, dear)
        explanation = await api.market.explain(demand())
        assert (explanation.nodes, explanation.matching) == (2, 1)
        assert explanation.nearest[0].node_id == dear.node_id
        farm.beat(here, accepting=False)
        await api.until(lambda: api.changes[here.node_id] == ["joined", "heartbeat"])
        (view,) = (v for v in await api.market.nodes() if v.offer.node_id == here.node_id)
        assert not view.offer.accepting
        await api.until(lambda: here.pulses == 1)
        farm.attach(here, LEASE)
        for number in range(200):
            farm.say(here, Meter(LEASE, number, number))
        await api.until(lambda: len(api.said) == 201)
        meters = [(here.node_id, Meter(LEASE, number, number)) for number in range(200)]
        assert api.said[1:] == meters


@on_asyncio
async def test_a_lease_that_is_not_dealt_with_holds_up_neither_its_node_nor_another_lease(
    tmp_path: Path,
) -> None:
    flooded, other = LEASE, "lease_" + "1" * 32
    async with running(tmp_path) as (api, farm):
        node = farm.add(FakeNode())
        await api.joined(node)
        gate = api.hold_up(flooded)
        for lease_id in (flooded, other):
            farm.attach(node, lease_id)
        for number in range(2 * MESSAGE_CREDIT):
            farm.say(node, Meter(flooded, number, number))
        for number in range(10):
            farm.say(node, Meter(other, number, number))
        farm.beat(node)
        await api.until(lambda: sum(said.lease_id == other for _, said in api.said) == 11)
        await api.until(lambda: api.changes[node.node_id] == ["joined", "heartbeat"])
        assert (await api.market.hold_auction(demand())).ranking
        assert all(said.lease_id == other for _, said in api.said)
        gate.set()
        await api.until(lambda: len(api.said) == 11 + 1 + 2 * MESSAGE_CREDIT)


@on_asyncio
async def test_the_stream_of_a_lease_is_closed_after_the_last_word_about_it(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        node = farm.add(FakeNode())
        await api.joined(node)
        farm.attach(node, LEASE)
        await api.until(lambda: len(api.said) == 1)
        stop = Stop(LEASE, Outcome.CANCELLED, "no such lease")
        await api.market.send(node.node_id, stop, is_last=True)
        with pytest.raises(NodeUnreachable, match="no stream"):
            await api.market.send(node.node_id, stop)
        assert node.joined == 1


@on_asyncio
async def test_a_node_that_leaves_is_seen_to_leave(tmp_path: Path) -> None:
    async with running(tmp_path) as (api, farm):
        here = farm.add(FakeNode())
        await api.joined(here)
        farm.remove(here)
        await api.until(lambda: api.changes[here.node_id][-1:] == ["left"])


@on_asyncio
async def test_a_killed_child_is_started_again_where_it_was_and_the_nodes_come_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (api, farm):
        market = api.market
        nodes = [farm.add(FakeNode()) for _ in range(2)]
        await api.joined(*nodes)
        first_pid, address = market.pid, market.addresses
        assert first_pid is not None
        waiting = asyncio.create_task(market.award(nodes[0].node_id, award(demand(), "0" * 64)))
        nodes[0].answer = lambda node, envelope, message: None
        await asyncio.sleep(0)
        os.kill(first_pid, signal.SIGKILL)
        await api.until(lambda: market.pid != first_pid)
        with pytest.raises(MarketAway):
            await market.hold_auction(demand())
        with pytest.raises(MarketAway):
            await market.nodes()
        await asyncio.gather(waiting, return_exceptions=True)
        await api.until(lambda: market.pid not in (None, first_pid))
        await api.joined(*nodes)
        assert market.addresses == address
        nodes[0].answer = None
        report = await market.hold_auction(demand())
        assert len(report.ranking) == 2
        for node in nodes:
            assert api.changes[node.node_id] == ["joined", "left", "joined"]


@on_asyncio
async def test_a_denied_node_is_closed_stays_out_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PING_INTERVAL_S", 0.2)
    async with running(tmp_path) as (api, farm):
        foe, friend = farm.add(FakeNode()), farm.add(FakeNode())
        await api.joined(foe, friend)
        api.market.admit(PeerLists.of([], [f"{foe.node_id} sent wrong results"]))
        await api.joined(friend)
        await api.until(lambda: api.market.traffic.refused.get("denied", 0) > 1)
        api.market.admit(PeerLists())
        await api.joined(foe, friend)


@on_asyncio
async def test_the_lists_of_peers_outlive_the_child(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PING_INTERVAL_S", 0.2)
    foe = FakeNode()
    async with running(tmp_path) as (api, farm):
        api.market.admit(PeerLists.of([], [foe.node_id]))
        sheet = PriceSheet(5, 24, (ClassPrice("cpu", 7, 1, 2, 3, 4),))
        api.market.set_prices(sheet)
        first_pid = api.market.pid
        assert first_pid is not None
        os.kill(first_pid, signal.SIGKILL)
        await api.until(lambda: api.market.pid not in (None, first_pid))
        farm.add(foe)
        await api.until(lambda: api.market.traffic.refused.get("denied", 0) > 0)
        await api.joined()
        # So do the prices that anybody may ask for.
        asked = await asyncio.to_thread(lambda: trio.run(ask_prices, api.market.addresses))
        assert asked == ({api.market.addresses[0]: sheet}, {})


@on_asyncio
async def test_a_child_that_hangs_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PING_INTERVAL_S", 0.2)
    monkeypatch.setattr(child, "PING_LIMIT_S", 1.0)
    async with running(tmp_path) as (api, _):
        pid = api.market.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        await api.until(lambda: api.market.pid not in (None, pid))
        assert (await api.market.explain(demand())).nodes == 0


@on_asyncio
async def test_leaving_ends_the_child(tmp_path: Path) -> None:
    api = Api(settings_in(tmp_path))
    async with api.market as market:
        pid = market.pid
        assert pid is not None
    assert not alive(pid)


@on_asyncio
async def test_a_child_that_cannot_start_says_so(tmp_path: Path) -> None:
    settings = MarketSettings(str(tmp_path / "nothing.json"), NETWORK, ("/ip4/127.0.0.1/tcp/0",))
    with pytest.raises(MarketAway, match="ended with 1"):
        await Api(settings).market.__aenter__()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_parent_leaves_no_child_behind(tmp_path: Path, stopped: bool) -> None:
    asyncio.run(_kill_parent(tmp_path, stopped))


async def _kill_parent(folder: Path, stopped: bool) -> None:
    settings = settings_in(folder)
    script = Path(__file__).with_name("market_parent.py")
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, str(script), settings.key_file, NETWORK),
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    child_pid = int(await parent.stdout.readline())
    assert alive(child_pid)
    if stopped:
        # Even one that does nothing any more.
        os.kill(child_pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    deadline = time.monotonic() + 60
    while alive(child_pid) and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.02)
    assert not alive(child_pid)


def test_the_coordinator_is_who_its_key_says(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)

    async def peer_id() -> str:
        async with Api(settings).market as market:
            return market.peer_id

    keys = KeyPair.read_solana_file(Path(settings.key_file))
    assert asyncio.run(peer_id()) == peer_id_of(keys.public_key)


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
