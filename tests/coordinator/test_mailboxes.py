"""A machine that speaks by HTTPS alone, in a real market process: it is a node like any other."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.market_nodes import NETWORK, FakeNode, award, demand
from coordinator.on_asyncio import on_asyncio
from coordinator.test_market_client import Api, settings_in
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, check_envelope, parse_envelope, seal
from neurogrid_marketplace.messages import (
    Acknowledge,
    Attach,
    Heartbeat,
    Hello,
    Message,
    Meter,
    parse_body,
    to_body,
    type_name,
)
from neurogrid_p2p.peer_lists import PeerLists

pytestmark = pytest.mark.processes

MAILBOXES = "/api/v1/provider/mailboxes"
LEASE = "lease_" + "0" * 32


@dataclass
class Machine:
    """A provider's program: it has the key of `node`, an account's API key, and speaks no libp2p."""

    owner: Customer
    node: FakeNode = field(default_factory=FakeNode)
    url: str = ""
    taken: int = 0
    welcomes: dict[str, Envelope] = field(default_factory=dict)
    said: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))

    async def connect(self) -> None:
        """Open a mailbox and take the welcome."""
        answer = await self.owner.http.post(MAILBOXES, json={"node_id": self.node.node_id})
        assert answer.status_code == 201, answer.text
        self.url = f"{MAILBOXES}/{answer.json()['data']['id']}"
        self.taken = 0
        self.said.clear()
        await self.hear("welcome")

    async def hear(self, kind: str) -> Message:
        """Take letters until one is of this kind."""
        while True:
            query = f"after={self.taken}&wait_seconds=20"
            answer = await self.owner.http.get(f"{self.url}/messages?{query}")
            assert answer.status_code == 200, answer.text
            data = answer.json()["data"]
            assert data["letters"], "the mailbox is over"
            for letter in data["letters"]:
                self.taken = letter["number"]
                envelope = parse_envelope(letter["envelope"])
                check_envelope(envelope, NETWORK)
                if envelope.type == "welcome":
                    self.welcomes[letter["stream"]] = envelope
                if envelope.type == kind:
                    return parse_body(envelope.type, envelope.body)

    def sealed(self, message: Message, stream: str = "control") -> dict[str, Any]:
        """A message as it travels; each is the stream's next."""
        welcome = self.welcomes[stream]
        self.said[stream] += 1
        return seal(
            self.node.keys.sign,
            network=NETWORK,
            type=type_name(message),
            sender=self.node.node_id,
            recipient=welcome.sender,
            session=welcome.session,
            sequence=self.said[stream] - 1,
            sent_at_ms=self.node.party.now_ms(),
            body=to_body(message),
        ).to_dict()

    async def put(self, *envelopes: dict[str, Any], stream: str = "control") -> httpx.Response:
        """Put envelopes into the mailbox."""
        body = {"stream": stream, "envelopes": envelopes}
        return await self.owner.http.post(f"{self.url}/messages", json=body)

    async def say(self, message: Message, stream: str = "control") -> None:
        """Say something that is taken."""
        answer = await self.put(self.sealed(message, stream), stream=stream)
        assert answer.status_code == 202, answer.text
        assert answer.json()["data"]["next_sequence"] == self.said[stream]

    def hello(self, wallet: str = "") -> Hello:
        return Hello(replace(self.node.offer(), wallet=wallet or self.owner.account.wallet))


@asynccontextmanager
async def market(folder: Path) -> AsyncIterator[tuple[World, Api, Machine]]:
    api = Api(settings_in(folder))
    async with api.market as child, open_world(folder / "api") as world:
        world.open_mailbox_stream = child.open_mailbox_stream
        yield world, api, Machine(await world.customer("owner", roles=("provider",)))


@on_asyncio
async def test_it_joins_bids_takes_a_lease_and_is_heard_about_it(tmp_path: Path) -> None:
    async with market(tmp_path) as (_, api, machine):
        await machine.connect()
        await machine.say(machine.hello())
        await machine.hear("pulse")
        await api.joined(machine.node)
        assert api.market.offer(machine.node.node_id) == machine.hello().offer
        auction = asyncio.create_task(api.market.hold_auction(demand(bid_window_ms=30_000)))
        asked = await machine.hear("demand")
        assert isinstance(asked, Demand)
        await machine.say(machine.node.bid(asked))
        report = await auction
        (ranked,) = report.ranking
        assert ranked.node_id == machine.node.node_id
        offered = asyncio.create_task(
            api.market.award(machine.node.node_id, award(demand(), ranked.bid_hash))
        )
        accept = machine.node.usual_answer(await machine.hear("award"))
        assert accept is not None
        await machine.say(accept)
        assert (await offered).accepted

        answer = await machine.owner.http.post(f"{machine.url}/streams")
        stream = answer.json()["data"]["stream"]
        await machine.hear("welcome")
        await machine.say(Attach(LEASE, has_start=False, events=0), stream)
        await machine.say(Meter(LEASE, 1_000, 5), stream)
        await api.until(lambda: len(api.said) == 2)
        assert api.said == [
            (machine.node.node_id, Attach(LEASE, has_start=False, events=0)),
            (machine.node.node_id, Meter(LEASE, 1_000, 5)),
        ]
        await api.market.send(machine.node.node_id, Acknowledge(LEASE, 0, 0))
        assert isinstance(await machine.hear("acknowledge"), Acknowledge)
        free = machine.node.offer().free
        await machine.say(Heartbeat(free, accepting=False))
        await api.until(lambda: api.changes[machine.node.node_id][-1] == "heartbeat")
        assert (await machine.owner.http.delete(machine.url)).status_code == 204
        await api.until(lambda: api.changes[machine.node.node_id][-1] == "left")


@on_asyncio
async def test_nothing_is_lost_or_said_twice_and_nobody_speaks_for_another(tmp_path: Path) -> None:
    async with market(tmp_path) as (world, api, machine):
        await machine.connect()
        for after, numbers in [(0, [1]), (0, [1]), (1, []), (0, [])]:
            answer = await machine.owner.http.get(f"{machine.url}/messages?after={after}")
            letters = answer.json()["data"]["letters"]
            assert [letter["number"] for letter in letters] == numbers, "kept until it has arrived"
        theirs = machine.sealed(machine.hello("1" * 32))
        check_error(await machine.put(theirs), 403, "FORBIDDEN")
        check_error(await machine.put({**theirs, "sender": "x"}), 422, "INVALID_REQUEST")
        check_error(await machine.put({"type": "hello"}), 422, "INVALID_REQUEST")
        machine.said.clear()
        hello = machine.sealed(machine.hello())
        beat = machine.sealed(Heartbeat(machine.node.offer().free, accepting=True))
        gap = await machine.put(beat)
        assert check_error(gap, 409, "CONFLICT").startswith("the stream's next envelope")
        for _ in range(3):
            answer = await machine.put(hello, beat)
            assert answer.json()["data"]["next_sequence"] == 2
        await machine.hear("pulse")
        await machine.hear("pulse")
        await api.joined(machine.node)
        assert "left" not in api.changes[machine.node.node_id]

        # Another account can't, nor can who lacks the node's key.
        mallory = Machine(await world.customer("mallory", roles=("provider",)))
        mallory.url = machine.url
        check_error(await mallory.put(hello), 404, "NOT_FOUND")
        await mallory.connect()
        forged = {**mallory.sealed(mallory.hello()), "signature": "0" * 128}
        await mallory.put(forged)
        over = await mallory.owner.http.get(f"{mallory.url}/messages?after=1&wait_seconds=20")
        assert over.json()["data"] == {"letters": [], "over": True}
        check_error(await mallory.put(), 409, "CONFLICT")

        # The operator's lists count here as well.
        api.market.admit(PeerLists(deny={machine.node.node_id: "it broke a rule"}))
        await api.until(lambda: api.changes[machine.node.node_id][-1] == "left")
        await machine.owner.http.post(MAILBOXES, json={"node_id": machine.node.node_id})
        assert machine.node.node_id not in api.market._nodes


@on_asyncio
async def test_what_is_replayed_or_said_by_a_wrong_clock_ends_the_mailbox(tmp_path: Path) -> None:
    async with market(tmp_path) as (_, api, machine):

        async def is_over() -> bool:
            query = f"after={machine.taken}&wait_seconds=20"
            answer = await machine.owner.http.get(f"{machine.url}/messages?{query}")
            return bool(answer.json()["data"]["over"])

        await machine.connect()
        hello = machine.sealed(machine.hello())
        await machine.put(hello)
        await machine.hear("pulse")
        # Another session's, however well it is signed.
        await machine.connect()
        assert (await machine.put(hello)).status_code == 202, "it is for the market to judge"
        assert await is_over()
        check_error(await machine.put(), 409, "CONFLICT")

        await machine.connect()
        late = parse_envelope(machine.sealed(machine.hello()))
        minutes_ago = seal(
            machine.node.keys.sign,
            network=NETWORK,
            type=late.type,
            sender=late.sender,
            recipient=late.recipient,
            session=late.session,
            sequence=0,
            sent_at_ms=late.sent_at_ms - 180_000,
            body=late.body,
        )
        await machine.put(minutes_ago.to_dict())
        assert await is_over()

        # And of two programs with one key the newer one is heard.
        await machine.connect()
        await machine.say(machine.hello())
        await machine.hear("pulse")
        older = machine.url
        await machine.connect()
        await machine.say(machine.hello())
        await machine.hear("pulse")
        machine.url, newer = older, machine.url
        assert await is_over()
        machine.url = newer
        await machine.say(Heartbeat(machine.node.offer().free, accepting=True))
        await api.joined(machine.node)
