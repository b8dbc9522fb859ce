"""How many requests are taken from whom, and what their answers say of it."""

import ipaddress
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import Connection

from coordinator.api_world import TASK, World, open_world
from coordinator.asking import ask
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from coordinator.route_access import WEBSOCKET, Operation
from neurogrid_coordinator.api.client_address import Proxies
from neurogrid_coordinator.server.request_rules import Kind, RequestRules
from neurogrid_coordinator.store import account_limits

TASKS = "/api/v1/tasks"
FREE = RequestRules(tiers={"free": 3, "pro": 5}, default_tier="free")


def from_address(world: World, address: str, key: str = "", **headers: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(world.app, client=(address, 1))
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers)


def told(answer: httpx.Response) -> tuple[str, str]:
    return answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]


@on_asyncio
async def test_an_account_may_send_what_its_tier_says_with_all_its_keys(tmp_path: Path) -> None:
    async with open_world(tmp_path, requests=FREE) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        _, other_key = await world.key_of(alice.account)
        seen = []
        for client in (alice.http, other_key, alice.http):
            answer = await client.get(TASKS)
            assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
            seen.append(told(answer))
        assert seen == [("3", "2"), ("3", "1"), ("3", "0")]
        answer = await other_key.get(TASKS)
        check_error(answer, 429, "RATE_LIMITED")
        details = answer.json()["error"]["details"]
        wait_s = int(answer.headers["retry-after"])
        assert 1 <= wait_s <= 21
        assert answer.headers["x-ratelimit-retry-after"] == str(wait_s)
        assert details["retry_after"] == wait_s
        assert details["limits"]["user"] == {
            "limit": 3,
            "remaining": 0,
            "reset": int(answer.headers["x-ratelimit-reset"]),
        }
        assert (await bob.http.get(TASKS)).status_code == 200


@on_asyncio
async def test_an_account_that_is_given_another_tier_has_it_at_its_next_look(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, requests=FREE) as world:
        alice = await world.customer("alice")

        def give(conn: Connection) -> None:
            account_limits.set_tier(conn, alice.account.id, "pro")

        await world.database.write(give)
        assert told(await alice.http.get(TASKS)) == ("5", "4")


@on_asyncio
async def test_submissions_and_uploads_have_buckets_of_their_own(tmp_path: Path) -> None:
    rules = RequestRules(
        tiers={"free": 100},
        default_tier="free",
        kinds={Kind.SUBMISSIONS: 1, Kind.UPLOADS: 1},
    )
    async with open_world(tmp_path, requests=rules) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post(TASKS, json=TASK)
        assert (answer.status_code, told(answer)) == (201, ("1", "0"))
        answer = await alice.http.post("/api/v1/workflows", json={})
        assert "too many submissions" in check_error(answer, 429, "RATE_LIMITED")
        for asked in ("generate/text", "generate/image", "transcribe"):
            answer = await alice.http.post(f"/api/v1/models/{asked}", json={})
            assert "too many submissions" in check_error(answer, 429, "RATE_LIMITED")
        file = f"/api/v1/artifacts/{'0' * 64}"
        assert (await alice.http.put(file, content=b"x")).status_code == 422
        answer = await alice.http.put(file, content=b"x")
        assert "too many uploads" in check_error(answer, 429, "RATE_LIMITED")
        # What was refused took nothing of the rest.
        assert told(await alice.http.get(TASKS)) == ("100", "97")


@on_asyncio
async def test_who_has_no_good_key_is_counted_by_address_and_touches_nobodys_key(
    tmp_path: Path,
) -> None:
    rules = RequestRules(tiers={"free": 100}, default_tier="free", strangers_per_address=3)
    async with open_world(tmp_path, requests=rules) as world:
        alice = await world.customer("alice")
        guesser = from_address(world, "2001:db8::1", "ng_guess")
        assert [(await guesser.get(TASKS)).status_code for _ in range(3)] == [401] * 3
        answer = await guesser.get(TASKS)
        check_error(answer, 429, "RATE_LIMITED")
        assert set(answer.json()["error"]["details"]["limits"]) == {"ip"}
        neighbour = from_address(world, "2001:db8::2", "ng_guess")
        assert (await neighbour.get(TASKS)).status_code == 429, "of the same /64"
        assert (await from_address(world, "2001:db8:0:1::1").get(TASKS)).status_code == 401
        known = from_address(world, "2001:db8::1", alice.key)
        assert (await known.get(TASKS)).status_code == 200


@on_asyncio
async def test_an_address_is_counted_whatever_it_asks_for(tmp_path: Path) -> None:
    async with open_world(tmp_path, requests=RequestRules(per_address=3)) as world:
        alice = await world.customer("alice")
        client = from_address(world, "192.0.2.1", alice.key)
        assert told(await client.get("/health")) == ("3", "2")
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.get(TASKS)).status_code == 200
        for path in ("/health", "/nothing", TASKS):
            answer = await client.get(path)
            check_error(answer, 429, "RATE_LIMITED")
            assert error_of(answer).details["limits"]["ip"]["limit"] == 3
        assert (await from_address(world, "192.0.2.2").get("/health")).status_code == 200
        for _ in range(2):
            await ask(world, Operation(WEBSOCKET, "/ws"), "/ws", f"Bearer {alice.key}")
        # A handshake is a request, too.
        await from_address(world, "127.0.0.1").get("/health")
        answer = await ask(world, Operation(WEBSOCKET, "/ws"), "/ws", "Bearer x")
        check_error(answer, 429, "RATE_LIMITED")


@on_asyncio
async def test_a_trusted_proxy_says_whose_request_it_is_and_nobody_else(tmp_path: Path) -> None:
    proxies = Proxies((ipaddress.ip_network("10.0.0.1"),))
    rules = RequestRules(per_address=1)
    async with open_world(tmp_path, requests=rules, proxies=proxies) as world:

        async def status(peer: str, named: str) -> int:
            headers: dict[str, Any] = {"X-Forwarded-For": named}
            answer = await from_address(world, peer, **headers).get("/health")
            return answer.status_code

        assert await status("10.0.0.1", "203.0.113.1") == 200
        assert await status("10.0.0.1", "203.0.113.2") == 200
        assert await status("10.0.0.1", "203.0.113.1") == 429
        assert await status("10.0.0.1", "1.1.1.1, 203.0.113.1") == 429
        assert await status("198.51.100.1", "203.0.113.3") == 200
        assert await status("198.51.100.1", "203.0.113.4") == 429, "it is nobody's proxy"


@on_asyncio
async def test_without_limits_nothing_is_said_of_any(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.get(TASKS)
        assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
