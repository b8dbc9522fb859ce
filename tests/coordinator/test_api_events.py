"""``/ws`` over a real socket."""

import asyncio
import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from coordinator.api_world import TASK, keys_of, node_id, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api import event_socket, events
from neurogrid_coordinator.api.auth import Gate
from neurogrid_coordinator.api.dialects.clients import Listeners
from neurogrid_coordinator.api.event_dialects import Dialect, Known, message_of
from neurogrid_coordinator.api.events import Sockets
from neurogrid_coordinator.api.request_limits import RequestLimits
from neurogrid_coordinator.request_rules import UNLIMITED
from neurogrid_coordinator.services.events import Events, Happening, Notice
from neurogrid_coordinator.services.nodes import Nodes, WatcherTooSlow
from neurogrid_coordinator.services.overview import Overview
from neurogrid_coordinator.services.signatures import Signatures
from neurogrid_coordinator.store import events as store_events
from neurogrid_coordinator.store.events import PROGRESS
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.standing import Standing


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
        beat = await receive(socket, skip=())
        assert beat["type"] == "heartbeat"
        assert beat["metrics"] == {"gpu_utilization": 0.0, "memory_usage": 0.0, "active_tasks": 0}
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
        # What it says that it saw last is no event: told so, and of what is to come.
        lost = await authenticated(address, alice.key, after=seen[-1]["sequence"] + 1000)
        reset = await receive(lost)
        assert (reset["type"], reset["asked_after"]) == ("reset", seen[-1]["sequence"] + 1000)
        anew = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        assert (await receive(lost))["task_id"] == anew
        for one in (socket, others, again, lost):
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
async def test_a_wrong_key_and_one_that_may_not_read_end_the_connection(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        writer = await world.customer("writer", scopes=("write",))
        for key, code, closes in (
            ("ng_wrong", "UNAUTHORIZED", 4401),
            (writer.key, "FORBIDDEN", 4403),
        ):
            async with connect(f"ws://{address}/ws") as socket:
                await receive(socket)
                await socket.send(json.dumps({"type": "auth", "token": key}))
                refused = await receive(socket)
                assert (refused["type"], refused["error"]["code"]) == ("error", code)
                assert refused["timestamp"].endswith("Z")
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(socket)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == closes


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


@on_asyncio
async def test_an_after_that_no_database_could_hold_is_told_and_ends_nothing(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        async with connect(f"ws://{address}/ws") as socket:
            await receive(socket)
            await socket.send(json.dumps({"type": "auth", "token": alice.key, "after": 10**30}))
            assert (await receive(socket))["error"]["code"] == "INVALID_REQUEST"
            await socket.send(json.dumps({"type": "auth", "token": alice.key}))
            assert (await receive(socket))["type"] == "authenticated"


@on_asyncio
async def test_heartbeats_tell_how_much_of_the_market_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.05)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        # One of two GPUs, and a quarter of the memory of one of two nodes.
        total = node_view("one").offer.total
        taken = replace(total, gpus=(), memory_bytes=total.memory_bytes * 3 // 4)
        view = node_view("one", free=taken)
        await world.nodes.on_node(view.offer.node_id, "heartbeat", view)
        async with served(world) as address, connect(f"ws://{address}/ws") as socket:
            await receive(socket)
            beat = await receive(socket, skip=())
            assert beat["metrics"] == {
                "gpu_utilization": 50.0,
                "memory_usage": 12.5,
                "active_tasks": 1,
            }
            # That nothing can be auctioned is told to everybody.
            world.market.away = True
            alert = await receive(socket)
            assert (alert["type"], alert["code"]) == ("system.alert", "MARKET_DOWN")


@on_asyncio
async def test_document_004s_clients_get_its_messages(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        async with connect(f"ws://{address}/ws?dialect=openruntime") as socket:
            greeting = await receive(socket)
            assert greeting["message"] == "Connected to OpenRuntime WebSocket"
            await socket.send(json.dumps({"type": "auth", "token": alice.key}))
            assert (await receive(socket))["type"] == "authenticated"
            task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            await world.start(task_id)
            await world.finish(task_id)
            seen: list[Any] = []
            while not seen or seen[-1]["data"]["status"] != "completed":
                seen.append(await receive(socket))
            assert {message["type"] for message in seen} == {"task_update"}
            assert [message["data"]["status"] for message in seen] == [
                "pending",
                "running",
                "completed",
            ]
            assert seen[-1]["data"].keys() == {"task_id", "status", "execution_time"}
            assert seen[-1]["data"]["execution_time"] >= 10


@on_asyncio
async def test_document_004s_clients_know_no_keys_and_hear_of_the_named_accounts_tasks(
    tmp_path: Path,
) -> None:
    named = keys_of("alice").address
    async with open_world(tmp_path, anonymous_account=named) as world, served(world) as address:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        async with connect(f"ws://{address}/ws") as socket:
            greeting = await receive(socket)
            assert greeting["message"] == "Connected to OpenRuntime WebSocket"
            bobs = (await bob.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            told = await receive(socket)
            assert told == {
                "type": "task_update",
                "data": {"task_id": task_id, "status": "pending", "execution_time": 0.0},
            }
            # Who shows a key after all hears of its own account's, in the words that it asks for.
            await socket.send(json.dumps({"type": "auth", "token": bob.key}))
            assert (await receive(socket))["type"] == "authenticated"
            await world.start(task_id)
            await world.start(bobs)
            assert (await receive(socket))["task_id"] == bobs
        for native in ("native", "bolt"):
            async with connect(f"ws://{address}/ws?dialect={native}") as socket:
                assert "OpenRuntime" not in (await receive(socket))["message"]


@on_asyncio
async def test_no_page_of_elsewhere_hears_of_a_named_accounts_tasks(tmp_path: Path) -> None:
    named, friend = keys_of("alice").address, "https://friend.example"
    async with (
        open_world(tmp_path, anonymous_account=named, cors_origins=(friend,)) as world,
        served(world) as address,
    ):
        alice = await world.customer("alice")
        async with connect(f"ws://{address}/ws") as program:
            await receive(program)
            for origin, hears in (
                ("https://evil.example", False),
                ("null", False),
                (friend, True),
                (f"http://{address}", True),
            ):
                async with connect(f"ws://{address}/ws", origin=Origin(origin)) as page:
                    greeting = await receive(page)
                    assert ("OpenRuntime" in greeting["message"]) is hears
                    await alice.http.post("/api/v1/tasks", json=TASK)
                    # A page that is told of it is told in the same moment.
                    assert (await receive(program))["type"] == "task_update"
                    await page.send('{"type": "ping"}')
                    assert (await receive(page))["type"] == ("task_update" if hears else "pong")


@on_asyncio
async def test_a_named_account_that_there_is_not_is_nobodys(tmp_path: Path) -> None:
    named = keys_of("alice").address
    async with open_world(tmp_path, anonymous_account=named) as world, served(world) as address:
        for roles in ((), ("provider",)):
            if roles:
                await world.customer("alice", roles=roles)
            async with connect(f"ws://{address}/ws") as socket:
                assert (await receive(socket))["message"] == "Connected to NeuroGrid WebSocket"


@on_asyncio
async def test_document_000s_clients_get_progress_with_what_is_measured(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice = await world.customer("alice")
        world.standings[node_id("one")] = Standing(score_permille=800)
        socket = await authenticated(address, alice.key, dialect="bolt")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        first = await receive(socket)
        assert (first["taskId"], first["status"], first["progress"]) == (task_id, "running", 0.0)
        world.now_ms += 10_000
        await world.database.write(
            store_events.append,
            task_id,
            alice.account.id,
            world.now_ms,
            "task.progress",
            {"progress_permille": 250, "note": "", "memory_peak_bytes": 250_000_000},
        )
        world.feed.notify()
        progress = await receive(socket)
        metrics = progress["metrics"]
        assert (progress["progress"], metrics["quality"]) == (25.0, 0.8)
        assert metrics["resourceUsage"] == 0.25
        assert metrics["latency"] > 0
        # A quarter in ten seconds.
        assert 29 <= metrics["prediction"]["timeRemaining"] <= 33
        assert metrics["prediction"]["resourceNeeded"] == 250_000_000
        await world.finish(task_id)
        last = await receive(socket)
        assert (last["status"], last["progress"]) == ("complete", 100.0)
        assert last["metrics"]["prediction"]["timeRemaining"] == 0
        await socket.close()


@on_asyncio
async def test_a_dialect_that_there_is_not_is_refused(tmp_path: Path) -> None:
    async with (
        open_world(tmp_path) as world,
        served(world) as address,
        connect(f"ws://{address}/ws?dialect=klingon") as socket,
    ):
        with pytest.raises(ConnectionClosed) as closed:
            await receive(socket)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            4400,
            "dialect: is one of native, openruntime, bolt",
        )


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
