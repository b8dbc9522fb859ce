"""``/ws`` in the words of other documents."""

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from coordinator.api_world import TASK, keys_of, open_world
from coordinator.event_sockets import authenticated, receive
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from coordinator.served import served
from neurogrid_coordinator.store import events as store_events
from neurogrid_marketplace.standing import Standing


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
