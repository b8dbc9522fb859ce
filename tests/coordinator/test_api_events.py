"""``/ws`` over a real socket."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from coordinator.api_world import TASK, node_id, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api import events
from neurogrid_coordinator.api.auth import Gate
from neurogrid_coordinator.api.events import Sockets
from neurogrid_coordinator.services.events import Events
from neurogrid_coordinator.services.nodes import Nodes, WatcherTooSlow


async def receive(socket: ClientConnection, *, skip: tuple[str, ...] = ("heartbeat",)) -> Any:
    while True:
        message = json.loads(await socket.recv())
        if message["type"] not in skip:
            return message


async def authenticated(address: str, key: str, **more: object) -> ClientConnection:
    socket = await connect(f"ws://{address}/ws")
    assert (await receive(socket))["type"] == "connected"
    await socket.send(json.dumps({"type": "auth", "token": key, **more}))
    assert (await receive(socket))["type"] == "authenticated"
    return socket


@on_asyncio
async def test_it_greets_beats_and_answers_pings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with (
        open_world(tmp_path) as world,
        served(world) as address,
        connect(f"ws://{address}/ws") as socket,
    ):
        greeting = await receive(socket, skip=())
        assert greeting["type"] == "connected"
        assert greeting["timestamp"].endswith("Z")
        assert (await receive(socket, skip=()))["type"] == "heartbeat"
        await socket.send('{"type": "ping"}')
        assert (await receive(socket))["type"] == "pong"


@on_asyncio
async def test_after_auth_it_sends_the_accounts_events_and_nobody_elses(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        socket = await authenticated(address, alice.key)
        others = await authenticated(address, mallory.key)
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        await world.finish(task_id)
        seen: list[Any] = []
        while not seen or seen[-1]["type"] != "task.completed":
            seen.append(await receive(socket))
        assert {message["task_id"] for message in seen} == {task_id}
        types = [message["type"] for message in seen]
        assert types[0] == "task.created"
        assert "task.started" in types
        assert seen[-1]["cost_usdc"] == "0.001"
        # Mallory's own next event is the first that Mallory hears of.
        mine = (await mallory.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        assert (await receive(others))["task_id"] == mine
        # A reader that was away resumes after what it saw last.
        again = await authenticated(address, alice.key, after=seen[-2]["sequence"])
        assert (await receive(again))["type"] == "task.completed"
        for one in (socket, others, again):
            await one.close()


@on_asyncio
async def test_changes_of_nodes_are_told(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        socket = await authenticated(address, alice.key)
        view = node_view("two")
        await world.nodes.on_node(view.offer.node_id, "heartbeat", view)
        await world.nodes.on_node(view.offer.node_id, "left", view)
        message = await receive(socket)
        assert (message["type"], message["node_id"]) == ("node.status", node_id("two"))
        assert message["status"] == "offline"
        await socket.close()


@on_asyncio
async def test_a_wrong_key_is_refused_and_ends_the_connection(tmp_path: Path) -> None:
    async with (
        open_world(tmp_path) as world,
        served(world) as address,
        connect(f"ws://{address}/ws") as socket,
    ):
        await receive(socket)
        await socket.send('{"type": "auth", "token": "ng_wrong"}')
        refused = await receive(socket)
        assert (refused["type"], refused["error"]["code"]) == ("error", "UNAUTHORIZED")
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401


@on_asyncio
async def test_nonsense_is_answered_and_harms_nobody(tmp_path: Path) -> None:
    async with (
        open_world(tmp_path) as world,
        served(world) as address,
        connect(f"ws://{address}/ws") as socket,
    ):
        await receive(socket)
        for text in (
            "{",
            "[]",
            '{"type": 5}',
            '{"type": "dance"}',
            '{"type":"auth","after":-1}',
        ):
            await socket.send(text)
            message = await receive(socket)
            assert (message["type"], message["error"]["code"]) == ("error", "INVALID_REQUEST")
        await socket.send("x" * 5000)
        with pytest.raises(ConnectionClosed):
            await receive(socket)


@on_asyncio
async def test_a_reader_that_takes_nothing_is_dropped_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SEND_LIMIT_S", 0.2)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        stuck = StuckSocket(alice.key)
        sockets = Sockets(
            gate=Gate(world.database, None),
            events=Events(world.database, world.feed),
            nodes=world.nodes,
            stopping=world.stopping,
        )
        await sockets.serve(stuck)  # type: ignore[arg-type]  # all that it needs of a WebSocket
        assert stuck.closed is not None
        code, reason = stuck.closed
        assert code == 4408
        assert "too slowly" in reason


class StuckSocket:
    """A client that authenticates and then never reads."""

    client = None

    def __init__(self, key: str) -> None:
        self._key = key
        self._sent = 0
        self.closed: tuple[int, str] | None = None

    async def accept(self) -> None:
        pass

    async def receive_text(self) -> str:
        if self._key:
            text, self._key = json.dumps({"type": "auth", "token": self._key}), ""
            return text
        await asyncio.get_running_loop().create_future()
        raise AssertionError("never")

    async def send_text(self, text: str) -> None:
        self._sent += 1
        if self._sent > 1:
            await asyncio.get_running_loop().create_future()

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)


@on_asyncio
async def test_strangers_share_few_connections_per_address(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        known = await authenticated(address, alice.key)
        strangers = [await connect(f"ws://{address}/ws") for _ in range(10)]
        for socket in strangers:
            assert (await receive(socket))["type"] == "connected"
        async with connect(f"ws://{address}/ws") as one_more:
            with pytest.raises(ConnectionClosed) as closed:
                await receive(one_more)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
        for socket in (known, *strangers):
            await socket.close()


@on_asyncio
async def test_it_ends_when_the_coordinator_stops(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        socket = await authenticated(address, alice.key)
        world.stopping.set()
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


@on_asyncio
async def test_a_watcher_of_nodes_that_is_far_behind_is_told_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        nodes = Nodes(world.database, lambda _: None, challenges_scored=False)
        watch = nodes.watch()
        view = node_view("one")
        for _ in range(600):
            await nodes.on_node(view.offer.node_id, "joined", view)
            await nodes.on_node(view.offer.node_id, "left", view)
        with pytest.raises(WatcherTooSlow):
            async for _ in watch:
                pass
