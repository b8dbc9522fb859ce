"""An account's own API keys over REST."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS
from neurogrid_coordinator.services import key_rules
from neurogrid_coordinator.store import accounts, api_keys

KEYS = "/api/v1/api-keys"
ALL = ("read", "write", "keys")
NEW = {"name": "nightly", "scopes": ["read", "write"]}


async def create(
    http: httpx.AsyncClient, idempotency_key: str = "", **changes: Any
) -> dict[str, Any]:
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    answer = await http.post(KEYS, json=NEW | changes, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    made = answer.json()["data"]
    assert isinstance(made, dict)
    return made


async def admitted(world: World, secret: str) -> int:
    """Read with this key: the status, and the code of a refusal."""
    return (await world.client(secret).get("/api/v1/tasks")).status_code


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@on_asyncio
async def test_a_keys_whole_life(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        answer = await alice.http.post(KEYS, json=NEW | {"expires_in_seconds": 3600})
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        made = answer.json()["data"]
        assert answer.headers["location"] == f"{KEYS}/{made['id']}"
        secret = made.pop("secret")
        assert secret.startswith(made["hint"])
        assert (made["state"], made["scopes"], made["current"]) == (
            "active",
            ["read", "write"],
            False,
        )
        assert (made["last_used_at"], made["revoked_at"]) == (None, None)
        assert (await alice.http.get(f"{KEYS}/{made['id']}")).json()["data"] == made

        program = world.client(secret)
        assert (await program.post("/api/v1/tasks", json=TASK)).status_code == 201
        listed = (await alice.http.get(KEYS)).json()["data"]
        assert (listed["total"], len(listed["api_keys"])) == (2, 2)
        # The world makes its own keys at a moment that is to come.
        own, shown = listed["api_keys"]
        assert (shown["id"], own["current"], own["scopes"]) == (made["id"], True, [*ALL])
        assert shown["last_used_at"] is not None
        assert secret not in str(listed)

        revoked = (await alice.http.delete(f"{KEYS}/{made['id']}")).json()["data"]
        assert revoked["state"] == "revoked"
        # At once in this process, not when what it knows of the key is a second old.
        message = check_error(await program.get("/api/v1/tasks"), 401, "UNAUTHORIZED")
        assert "revoked" in message
        again = (await alice.http.delete(f"{KEYS}/{made['id']}")).json()["data"]
        assert again == revoked
        assert secret.encode() not in everything_in(tmp_path)


@on_asyncio
async def test_lists_are_filtered_by_state_and_paged(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        await world.key_of(alice.account, expires_at_ms=1)
        gone = await create(alice.http)
        await alice.http.delete(f"{KEYS}/{gone['id']}")
        for state in ("active", "expired", "revoked"):
            page = (await alice.http.get(KEYS, params={"state": state})).json()["data"]
            assert [key["state"] for key in page["api_keys"]] == [state]
            assert page["total"] == 1
        page = (await alice.http.get(KEYS, params={"limit": 1, "offset": 1})).json()["data"]
        assert (page["total"], len(page["api_keys"])) == (3, 1)
        check_error(await alice.http.get(f"{KEYS}?state=odd"), 422, "INVALID_REQUEST")
        check_error(await alice.http.get(f"{KEYS}?limit=101"), 422, "INVALID_REQUEST")


@on_asyncio
async def test_without_the_scope_a_key_may_see_and_end_itself_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        secret, program = await world.key_of(alice.account)
        own = (await program.get(f"{KEYS}/current")).json()["data"]
        assert (own["current"], own["scopes"]) == (True, ["read", "write"])
        other = (await alice.http.get(f"{KEYS}/current")).json()["data"]["id"]
        for method, path, body in [
            ("GET", "", None),
            ("POST", "", NEW),
            ("GET", f"/{other}", None),
            ("POST", f"/{other}/rotate", {}),
            # It would outlive its own revocation.
            ("POST", "/current/rotate", {}),
            ("DELETE", f"/{other}", None),
        ]:
            answer = await program.request(method, KEYS + path, json=body)
            message = check_error(answer, 403, "FORBIDDEN")
            assert answer.json()["error"]["details"] == {"scope": "keys"}
            assert "key create --scope read --scope write --scope keys" in message
        assert (await program.delete(f"{KEYS}/{own['id']}")).status_code == 200
        assert await admitted(world, secret) == 401
        # One with nothing but the right to be there, too.
        secret, lonely = await world.key_of(alice.account, ())
        assert (await lonely.delete(f"{KEYS}/current")).status_code == 200
        assert await admitted(world, secret) == 401


@on_asyncio
async def test_somebody_elses_key_does_not_exist(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        mallory = await world.customer("mallory", scopes=ALL)
        key_id = (await alice.http.get(f"{KEYS}/current")).json()["data"]["id"]
        for method, path in [("GET", ""), ("POST", "/rotate"), ("DELETE", "")]:
            body: dict[str, Any] | None = {} if method == "POST" else None
            for asked in (key_id, "key_" + "0" * 32, "key_%00", "x" * 300):
                answer = await mallory.http.request(method, f"{KEYS}/{asked}{path}", json=body)
                check_error(answer, 404, "NOT_FOUND")
        assert await admitted(world, alice.key) == 200
        assert (await mallory.http.get(KEYS)).json()["data"]["total"] == 1
        # The same idempotency key of two accounts is two.
        one = await create(alice.http, "same")
        other = await create(mallory.http, "same")
        assert one["id"] != other["id"]


@on_asyncio
async def test_a_key_makes_none_that_may_do_more_or_lives_longer(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        soon_ms = time.time_ns() // 1_000_000 + 3_600_000
        _, manager = await world.key_of(alice.account, ("read", "keys"), soon_ms)
        answer = await manager.post(KEYS, json=NEW)
        check_error(answer, 403, "FORBIDDEN")
        assert answer.json()["error"]["details"] == {"scopes": ["write"]}
        for end in (
            {"expires_in_seconds": 7200},
            {"expires_at": "2999-01-01T00:00:00Z"},
        ):
            answer = await manager.post(KEYS, json={"name": "a", "scopes": ["read"]} | end)
            assert "lives longer than itself" in check_error(answer, 403, "FORBIDDEN")
        made = await create(manager, scopes=["read"])
        own = (await manager.get(f"{KEYS}/current")).json()["data"]
        assert made["expires_at"] == own["expires_at"]
        # Nor by rotating one that may do more.
        first = (await alice.http.get(f"{KEYS}/current")).json()["data"]["id"]
        answer = await manager.post(f"{KEYS}/{first}/rotate", json={})
        check_error(answer, 403, "FORBIDDEN")
        assert await admitted(world, alice.key) == 200


@on_asyncio
async def test_a_rotated_key_goes_on_for_its_grace_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        old = await create(alice.http, name="ci", scopes=["read"], expires_in_seconds=86_400)
        assert await admitted(world, old["secret"]) == 200
        answer = await alice.http.post(f"{KEYS}/{old['id']}/rotate", json={"grace_seconds": 60})
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        new = answer.json()["data"]
        for name in ("name", "scopes", "expires_at"):
            assert new[name] == old[name]
        assert (new["replaces"]["id"], new["replaces"]["state"]) == (old["id"], "active")
        assert new["replaces"]["expires_at"] < old["expires_at"]
        assert await admitted(world, new["secret"]) == 200
        assert await admitted(world, old["secret"]) == 200
        # As if the minute had passed.
        await world.database.write(lambda conn: api_keys.end_at(conn, old["id"], 1))
        answer = await alice.http.post(f"{KEYS}/{old['id']}/rotate", json={})
        assert "nothing to replace" in check_error(answer, 409, "CONFLICT")
        shown = (await alice.http.get(f"{KEYS}/{old['id']}")).json()["data"]
        assert shown["state"] == "expired"


@on_asyncio
async def test_a_key_may_rotate_and_revoke_itself(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        new = (await alice.http.post(f"{KEYS}/current/rotate", json={})).json()["data"]
        assert (new["expires_at"], new["scopes"]) == (None, [*ALL])
        # What it makes in its grace ends with it.
        brief = await create(alice.http)
        assert brief["expires_at"] == new["replaces"]["expires_at"]
        renewed = world.client(new["secret"])
        assert (await alice.http.delete(f"{KEYS}/current")).json()["data"]["state"] == "revoked"
        assert await admitted(world, alice.key) == 401
        assert (await renewed.get(KEYS)).status_code == 200


@on_asyncio
async def test_a_lost_answer_makes_no_second_key_and_locks_nobody_out(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        lost = await create(alice.http, "k")
        answer = await alice.http.post(KEYS, json=NEW, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 200
        again = answer.json()["data"]
        assert again["id"] == lost["id"]
        assert again["secret"] != lost["secret"]
        assert (await alice.http.get(KEYS)).json()["data"]["total"] == 2
        assert await admitted(world, lost["secret"]) == 401
        assert await admitted(world, again["secret"]) == 200
        # It has been used now: nothing takes it from whoever uses it.
        answer = await alice.http.post(KEYS, json=NEW, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.json()["data"]["secret"]) == (200, None)
        assert "revoke this key" in answer.json()["message"]
        assert await admitted(world, again["secret"]) == 200
        for secret in (lost["secret"], again["secret"]):
            assert secret.encode() not in everything_in(tmp_path)


@on_asyncio
async def test_a_lost_answer_to_a_rotation_of_itself_costs_no_life(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        headers = {"Idempotency-Key": "k"}
        path = f"{KEYS}/current/rotate"
        lost = (await alice.http.post(path, json={}, headers=headers)).json()["data"]
        answer = await alice.http.post(path, json={}, headers=headers)
        again = answer.json()["data"]
        assert answer.status_code == 200
        assert (again["id"], again["expires_at"]) == (lost["id"], None)
        assert again["replaces"] == lost["replaces"]
        assert await admitted(world, again["secret"]) == 200


@on_asyncio
async def test_an_idempotency_key_stands_for_one_request_of_one_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        made = await create(alice.http, "k")
        headers = {"Idempotency-Key": "k"}
        for body in (NEW | {"name": "other"}, NEW | {"expires_in_seconds": 60}):
            answer = await alice.http.post(KEYS, json=body, headers=headers)
            assert made["id"] in check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        answer = await alice.http.post(f"{KEYS}/{made['id']}/rotate", json={}, headers=headers)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        # Another key gets no secret by repeating what a greater one asked for.
        _, lesser = await world.key_of(alice.account, ("read", "keys"))
        answer = await lesser.post(KEYS, json=NEW, headers=headers)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        answer = await alice.http.post(KEYS, json=NEW, headers={"Idempotency-Key": "x" * 256})
        check_error(answer, 422, "INVALID_REQUEST")
        assert await admitted(world, made["secret"]) == 200


@on_asyncio
async def test_a_revoked_key_makes_no_other_in_the_second_that_it_is_remembered(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        own = (await alice.http.get(f"{KEYS}/current")).json()["data"]["id"]
        # By the operator's command: no word of it reaches the api process.
        await world.database.write(lambda conn: accounts.revoke_key(conn, own, NOW_MS))
        check_error(await alice.http.post(KEYS, json=NEW), 401, "UNAUTHORIZED")
        answer = await alice.http.post(f"{KEYS}/current/rotate", json={})
        check_error(answer, 401, "UNAUTHORIZED")
        check_error(await alice.http.delete(f"{KEYS}/current"), 401, "UNAUTHORIZED")


@on_asyncio
async def test_keys_are_bounded_and_old_ones_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=ALL)
        made = await asyncio.gather(*(create(alice.http) for _ in range(key_rules.KEYS_MAX - 1)))
        answer = await alice.http.post(KEYS, json=NEW)
        assert "revoke one" in check_error(answer, 409, "CONFLICT")
        assert answer.json()["error"]["details"] == {"active": 50, "keys_max": 50}
        # A key can be replaced where there is no room for another.
        rotated = await alice.http.post(f"{KEYS}/{made[0]['id']}/rotate", json={})
        assert rotated.status_code == 201
        for key in made:
            await alice.http.delete(f"{KEYS}/{key['id']}")
        await create(alice.http)
        # Bob's many keys have ended; those of a hundred are kept that are newest.
        bob = await world.customer("bob", scopes=ALL)
        for _ in range(key_rules.ENDED_MAX + 3):
            await world.key_of(bob.account, expires_at_ms=1)
        await create(bob.http)
        ended = (await bob.http.get(KEYS, params={"state": "expired"})).json()["data"]
        assert ended["total"] == key_rules.ENDED_MAX
        assert (await alice.http.get(KEYS)).json()["data"]["total"] == 52


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "name: is missing"),
        ({"name": "a"}, "scopes: is missing"),
        (NEW | {"name": ""}, "name: must be 1 to 100 characters"),
        (NEW | {"name": "a\x00b"}, "name: must be 1 to 100 characters"),
        (NEW | {"name": "a" * 101}, "name: must be 1 to 100 characters"),
        (NEW | {"scopes": []}, "scopes: expected `array` of length >= 1"),
        (NEW | {"scopes": ["admin"]}, "scopes[0]: invalid enum value 'admin'"),
        (NEW | {"scopes": "read"}, "scopes: expected `array`"),
        (NEW | {"expires_at": "2999-01-01"}, "expires_at: "),
        (NEW | {"expires_at": "2999-01-01T00:00:00"}, "expires_at: "),
        (NEW | {"expires_at": "2001-01-01T00:00:00Z"}, "has passed"),
        (NEW | {"expires_at": "0001-01-01T00:00:00+14:00"}, "has passed"),
        (NEW | {"expires_in_seconds": 59}, "expires_in_seconds: "),
        (NEW | {"expires_in_seconds": 2**63}, "expires_in_seconds: "),
        (NEW | {"expires_in_seconds": 60, "expires_at": "2999-01-01T00:00:00Z"}, "not both"),
        (NEW | {"permissions": ["read"]}, "permissions: is not a field"),
    ],
)
def test_bad_requests_say_what_is_wrong(tmp_path: Path, body: dict[str, Any], words: str) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice", scopes=ALL)
            answer = await alice.http.post(KEYS, json=body)
            assert words in check_error(answer, 422, "INVALID_REQUEST")
            assert (await alice.http.get(KEYS)).json()["data"]["total"] == 1

    asyncio.run(check())


@on_asyncio
async def test_a_grace_is_bounded(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice: Customer = await world.customer("alice", scopes=ALL)
        for grace in (0, 59, 7 * 86_400 + 1, "1d"):
            answer = await alice.http.post(f"{KEYS}/current/rotate", json={"grace_seconds": grace})
            assert "grace_seconds: " in check_error(answer, 422, "INVALID_REQUEST")
        assert (await alice.http.get(f"{KEYS}/current")).json()["data"]["expires_at"] is None
