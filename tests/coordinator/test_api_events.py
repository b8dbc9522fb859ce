"""``/ws`` over a real socket."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from coordinator.api_world import TASK, node_view, open_world
from coordinator.event_sockets import authenticated, receive
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from coordinator.served import served
from neurogrid_coordinator.api import events


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
