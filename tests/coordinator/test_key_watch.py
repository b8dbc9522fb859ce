"""What a key has opened ends with it, also where another process ended it."""

import asyncio
import time
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.event_sockets import authenticated
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS
from coordinator.served import served
from neurogrid_coordinator.api import key_watch
from neurogrid_coordinator.api.auth import Caller, Gate
from neurogrid_coordinator.api.key_watch import KeyWatch
from neurogrid_coordinator.api.request_limits import RequestLimits
from neurogrid_coordinator.server.request_rules import UNLIMITED
from neurogrid_coordinator.services.errors import KeyHasExpired
from neurogrid_coordinator.services.signatures import Signatures
from neurogrid_coordinator.store import accounts, api_keys
from neurogrid_coordinator.store.accounts import ApiKey


async def key_of(world: World, customer: Customer) -> ApiKey:
    return await world.database.read(accounts.find_key, customer.key, 1)


async def revoke(world: World, customer: Customer) -> None:
    """As the operator's command does: no word of it reaches the api process."""
    key = await key_of(world, customer)
    await world.database.write(accounts.revoke_key, key.id, NOW_MS)


async def read_to_the_end(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


@on_asyncio
async def test_who_waits_is_told_of_his_key_and_nobody_of_anothers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_watch, "_LOOK_S", 0.01)
    monkeypatch.setattr(key_watch, "_LOOKED_UP_AT_ONCE", 1)
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        watch = KeyWatch(world.database)
        of_alice = [asyncio.create_task(watch.ended(await key_of(world, alice))) for _ in range(2)]
        of_bob = asyncio.create_task(watch.ended(await key_of(world, bob)))
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in (*of_alice, of_bob))
        await revoke(world, alice)
        for task in of_alice:
            assert "revoked" in (await task).message
        assert not of_bob.done()
        # Somebody who leaves takes nothing along.
        leaving = asyncio.create_task(watch.ended(await key_of(world, bob)))
        await asyncio.sleep(0)
        leaving.cancel()
        bobs = await key_of(world, bob)
        await world.database.write(lambda conn: api_keys.end_at(conn, bobs.id, 1))
        assert isinstance(await of_bob, KeyHasExpired)
        # One that is looked for again after all had left.
        again = await watch.ended(bobs)
        assert again.code == "KEY_EXPIRED"


@on_asyncio
async def test_open_streams_end_within_a_second(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, served(world) as address:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        url = f"http://{address}/api/v1/tasks"
        headers = {"Authorization": f"Bearer {alice.key}"}
        socket = await authenticated(address, alice.key)
        other = await authenticated(address, bob.key)
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            task_id = (await http.post(url, json=TASK)).json()["data"]["id"]
            async with (
                http.stream("GET", f"{url}/{task_id}/events") as events,
                http.stream("GET", f"{url}/{task_id}/logs?follow=true") as log,
            ):
                assert (events.status_code, log.status_code) == (200, 200)
                await revoke(world, alice)
                begun_s = time.monotonic()
                for response in (events, log):
                    text = (await response.aread()).decode()
                    assert "event: end" not in text
                with pytest.raises(ConnectionClosed) as closed:
                    await read_to_the_end(socket)
        # A second is promised; the machine that tests may be busy.
        assert time.monotonic() - begun_s < 30
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
            4401,
            "This API key was revoked.",
        )
        await other.send('{"type": "ping"}')
        await other.recv()
        await other.close()


@on_asyncio
async def test_looking_goes_on_after_it_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(key_watch, "_LOOK_S", 0.01)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        gate = Gate(
            world.database,
            RequestLimits(UNLIMITED),
            Signatures(world.database, "a network"),
            repeats_kept_s=60,
        )
        key = await key_of(world, alice)
        monkeypatch.setattr(key_watch, "state_of", None)
        waiting = asyncio.create_task(gate.ended(Caller(alice.account, key)))
        while "could not be looked up" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)
        monkeypatch.undo()
        await revoke(world, alice)
        assert "revoked" in (await waiting).message
