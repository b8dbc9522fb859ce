"""``/ws`` for many, for slow readers, and for those who send nonsense."""

import asyncio
import json
import socket
from pathlib import Path
from typing import ClassVar

import pytest
from sqlalchemy import Connection
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from coordinator.api_world import TASK, node_view, open_world
from coordinator.event_sockets import authenticated, receive
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api import event_socket, events
from neurogrid_coordinator.api.auth import Gate
from neurogrid_coordinator.api.dialects.clients import Listeners
from neurogrid_coordinator.api.event_dialects import Dialect, Known, message_of
from neurogrid_coordinator.api.events import Sockets
from neurogrid_coordinator.api.request_limits import RequestLimits
from neurogrid_coordinator.server.request_rules import UNLIMITED
from neurogrid_coordinator.services.events import Events, Happening, Notice
from neurogrid_coordinator.services.nodes import Nodes, WatcherTooSlow
from neurogrid_coordinator.services.overview import Overview
from neurogrid_coordinator.services.signatures import Signatures
from neurogrid_coordinator.store import events as store_events
from neurogrid_coordinator.store.events import PROGRESS
from neurogrid_marketplace.canonical import Json


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
    monkeypatch.setattr(event_socket, "SEND_LIMIT_S", 0.2)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        stuck = StuckSocket(alice.key)
        sockets = Sockets(
            gate=Gate(
                world.database,
                RequestLimits(UNLIMITED),
                Signatures(world.database, "a network"),
                repeats_kept_s=60,
            ),
            events=Events(world.database, world.feed),
            nodes=world.nodes,
            at_work=Overview(world.database).tasks_at_work,
            market_is_up=lambda: True,
            stopping=world.stopping,
            without_key=Listeners(world.database, "", ()),
        )
        await sockets.serve(stuck)  # type: ignore[arg-type]  # all that it needs of a WebSocket
        assert stuck.closed is not None
        code, reason = stuck.closed
        assert code == 4408
        assert "too slowly" in reason


class StuckSocket:
    """A client that authenticates and then never reads."""

    client = None
    scope: ClassVar[dict[str, str]] = {}
    query_params: ClassVar[dict[str, str]] = {}

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
async def test_an_event_is_put_into_words_once_for_all_who_keep_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worded: list[str] = []

    def counted(dialect: Dialect, event: Happening | Notice, known: Known) -> object | None:
        worded.append(event.name)
        return message_of(dialect, event, known)

    monkeypatch.setattr(events, "message_of", counted)
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        listeners = [await authenticated(address, alice.key) for _ in range(20)]
        # What is told first, each may have read for itself.
        await alice.http.post("/api/v1/tasks", json=TASK)
        for listener in listeners:
            await receive(listener)
        worded.clear()
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        heard = [await receive(listener) for listener in listeners]
        assert {message["task_id"] for message in heard} == {task_id}
        assert len({message["sequence"] for message in heard}) == 1
        assert worded == ["task.created"]
        for listener in listeners:
            await listener.close()


@on_asyncio
async def test_a_reader_that_pauses_misses_and_doubles_nothing(tmp_path: Path) -> None:
    count = 1_500
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        with socket.socket() as narrow:
            # So that it is soon full.
            narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            host, port = address.split(":")
            narrow.connect((host, int(port)))
            reader = await connect(f"ws://{address}/ws", sock=narrow, max_queue=2)
            await receive(reader)
            await reader.send(json.dumps({"type": "auth", "token": alice.key}))
            await receive(reader)

            def happen(conn: Connection, first: int, last: int) -> None:
                for number in range(first, last):
                    note = f"{number} " + "x" * 2000
                    data: dict[str, Json] = {"progress_permille": 1, "note": note}
                    store_events.append(conn, task_id, alice.account.id, 1, PROGRESS, data)

            for first in range(0, count, 100):
                await world.database.write(happen, first, first + 100)
                world.feed.notify()
                await asyncio.sleep(0.002)
            heard = [await receive(reader) for _ in range(count)]
            notes = [int(message["progress_note"].split()[0]) for message in heard]
            assert notes == list(range(count))
            await reader.close()


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


@on_asyncio
async def test_an_account_and_an_address_have_a_bounded_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "SOCKETS_PER_ACCOUNT_MAX", 2)
    async with open_world(tmp_path) as world, served(world) as address:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        held = [await authenticated(address, alice.key) for _ in range(2)]
        async with connect(f"ws://{address}/ws") as one_more:
            await receive(one_more)
            await one_more.send(json.dumps({"type": "auth", "token": alice.key}))
            with pytest.raises(ConnectionClosed) as closed:
                await receive(one_more)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4429
        held.append(await authenticated(address, bob.key))
        await held.pop(0).close()
        await asyncio.sleep(0)
        monkeypatch.setattr(events, "SOCKETS_PER_ADDRESS_MAX", 2)
        async with connect(f"ws://{address}/ws") as one_more:
            with pytest.raises(ConnectionClosed) as closed:
                await receive(one_more)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.reason == "too many connections from your address"
        for socket in held:
            await socket.close()
