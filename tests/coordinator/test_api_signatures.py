"""What a wallet signs at the api: requests that it has to sign, and signing in."""

import base64
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from coordinator.api_world import NETWORK, TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.records import wallet
from neurogrid_coordinator.api.auth import Entrance, Signing
from neurogrid_coordinator.store import accounts, signatures
from neurogrid_coordinator.store.accounts import SCOPES
from neurogrid_marketplace.request_signing import SIGN_IN_S, SKEW_S, SignIn

ACCOUNT = "/api/v1/account"
TASKS = "/api/v1/tasks"
KEYS = "/api/v1/api-keys"
CHALLENGE = "/api/v1/auth/challenge"
TOKEN = "/api/v1/auth/token"
PAGE = Path(__file__).parent.parent.parent / "docs/authentication.md"
ON = b'{"signs_writes": true}'
OFF = b'{"signs_writes": false}'


async def change(
    who: Customer, body: bytes, signed: dict[str, str], target: str = ACCOUNT
) -> httpx.Response:
    return await who.http.patch(target, content=body, headers=signed)


async def customer(world: World, name: str = "alice") -> Customer:
    return await world.customer(name, scopes=SCOPES)


@pytest.mark.both_databases
@on_asyncio
async def test_a_signed_request_is_carried_out_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        answer = await change(alice, ON, {})
        message = check_error(answer, 401, "SIGNATURE_REQUIRED")
        assert "docs/authentication.md" in message
        assert answer.json()["error"]["details"] == {"network": NETWORK}
        signed = alice.signed("PATCH", ACCOUNT, ON)
        answer = await change(alice, ON, signed)
        assert (answer.status_code, answer.json()["data"]["signs_writes"]) == (200, True)
        check_error(await change(alice, ON, signed), 401, "SIGNATURE_REPLAYED")


@pytest.mark.both_databases
@on_asyncio
async def test_a_used_signature_opens_nothing_after_a_restart_or_at_another_coordinator(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        signed = alice.signed("PATCH", ACCOUNT, ON)
        assert (await change(alice, ON, signed)).status_code == 200
    async with open_world(tmp_path) as world:
        again = Customer(alice.account, alice.key, world.client(alice.key), alice.wallet)
        world.chain.funds_of[alice.account.wallet] = await world.chain.funds("x")
        check_error(await change(again, ON, signed), 401, "SIGNATURE_REPLAYED")


@on_asyncio
async def test_whatever_was_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await customer(world), await customer(world, "bob")
        signed = alice.signed("PATCH", ACCOUNT, ON)
        other_moment = {**signed, "X-Timestamp": str(int(signed["X-Timestamp"]) - 1)}
        for answer in (
            await change(alice, OFF, signed),
            await change(alice, ON, signed, f"{ACCOUNT}?x=1"),
            await change(alice, ON, alice.signed("PUT", ACCOUNT, ON)),
            await change(alice, ON, other_moment),
            await change(alice, ON, bob.signed("PATCH", ACCOUNT, ON)),
            await change(alice, ON, {**signed, "X-Wallet-Signature": "no base64!"}),
            await change(alice, ON, {**signed, "X-Wallet-Signature": "AAAA"}),
            await change(alice, ON, {**signed, "X-Wallet-Signature": "A" * 5000}),
        ):
            check_error(answer, 401, "SIGNATURE_INVALID")
            text = answer.json()["error"]["details"]["signed_text"]
            assert text.startswith(f"neurogrid-request-v1\n{NETWORK}\nPATCH\n{ACCOUNT}")
        for timestamp in ("1.5", "-1", "now", "1" * 13, "\u0661"):
            odd = httpx.Headers({**signed, "X-Timestamp": timestamp}, encoding="utf-8")
            answer = await alice.http.patch(ACCOUNT, content=ON, headers=odd)
            check_error(answer, 401, "SIGNATURE_INVALID")
        # Nothing of it was used up.
        assert (await change(alice, ON, signed)).status_code == 200


@on_asyncio
async def test_a_signature_holds_for_two_minutes_of_the_coordinators_clock(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        now_s = int(time.time())
        for at_s in (now_s - SKEW_S - 2, now_s + SKEW_S + 2):
            answer = await change(alice, ON, alice.signed("PATCH", ACCOUNT, ON, at_s))
            check_error(answer, 401, "SIGNATURE_EXPIRED")
            details = answer.json()["error"]["details"]
            assert details["skew_seconds_max"] == SKEW_S
            assert abs(details["server_time"] - now_s) < 30
        early = alice.signed("PATCH", ACCOUNT, ON, now_s - SKEW_S + 20)
        assert (await change(alice, ON, early)).status_code == 200


@on_asyncio
async def test_an_account_may_have_every_write_signed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        assert (await change(alice, ON, alice.signed("PATCH", ACCOUNT, ON))).status_code == 200
        body = json.dumps(TASK).encode()
        check_error(await alice.http.post(TASKS, content=body), 401, "SIGNATURE_REQUIRED")
        answer = await alice.http.post(
            TASKS, content=body, headers=alice.signed("POST", TASKS, body)
        )
        assert answer.status_code == 201, answer.text
        # Reading needs none.
        assert (await alice.http.get(TASKS)).status_code == 200
        target = f"{TASKS}/{answer.json()['data']['id']}"
        check_error(await alice.http.delete(target), 401, "SIGNATURE_REQUIRED")
        signed = alice.signed("DELETE", target)
        assert (await alice.http.delete(target, headers=signed)).status_code == 200
        check_error(await alice.http.post(KEYS, json={}), 401, "SIGNATURE_REQUIRED")
        # A file is signed by its hash, and not read for that.
        data = b"a file" * 1000
        digest = hashlib.sha256(data).hexdigest()
        target = f"/api/v1/artifacts/{digest}"
        check_error(await alice.http.put(target, content=data), 401, "SIGNATURE_REQUIRED")
        signed = alice.signed("PUT", target, data)
        assert (await alice.http.put(target, content=data, headers=signed)).status_code == 201
        assert (await change(alice, OFF, alice.signed("PATCH", ACCOUNT, OFF))).status_code == 200
        assert (await alice.http.post(TASKS, content=body)).status_code == 201


@pytest.mark.both_databases
@on_asyncio
async def test_used_signatures_are_forgotten_when_they_would_be_too_old_and_are_bounded(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        account = alice.account.id

        def fill(conn: Any) -> None:
            for number in range(50):
                signatures.use(conn, account, f"old {number}", 1000, 2000)
            for number in range(50):
                signatures.use(conn, account, f"new {number}", 2000, 9000)

        def count(conn: Any) -> int:
            rows = conn.exec_driver_sql("select count(*) from used_signatures")
            return int(rows.scalar_one())

        await world.database.write(fill)
        assert await world.database.read(count) == 50


async def asked(world: World, who: Customer, **changes: Any) -> dict[str, Any]:
    """The body of a sign-in that the wallet has signed."""
    answer = await world.client().post(CHALLENGE, json={"wallet": who.account.wallet})
    assert answer.status_code == 200, answer.text
    message = answer.json()["data"]["message"]
    return {"message": message, "signature": sign(who, message), **changes}


def sign(who: Customer, text: str) -> str:
    return base64.b64encode(who.wallet.sign(text.encode())).decode()


@pytest.mark.both_databases
@on_asyncio
async def test_a_wallet_signs_in_for_an_hour(tmp_path: Path) -> None:
    async with open_world(tmp_path, public_url="https://grid.example") as world:
        alice = await customer(world)
        body = await asked(world, alice)
        assert "Coordinator: https://grid.example\n" in body["message"]
        answer = await world.client().post(TOKEN, json=body)
        made = answer.json()["data"]
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        assert (made["token_type"], made["expires_in"], made["scope"]) == (
            "Bearer",
            3600,
            "read write",
        )
        session = world.client(made["access_token"])
        assert (await session.get(TASKS)).status_code == 200
        own = (await session.get(f"{KEYS}/current")).json()["data"]
        assert (own["kind"], own["scopes"]) == ("sign_in", ["read", "write"])
        again = await world.client().post(TOKEN, json=body)
        check_error(again, 401, "SIGNATURE_REPLAYED")
        # It is listed, and ends, as a key does; but it can't be made to last.
        answer = await alice.http.post(f"{KEYS}/{own['id']}/rotate", json={})
        check_error(answer, 409, "CONFLICT")
        assert (await alice.http.delete(f"{KEYS}/{own['id']}")).status_code == 200
        check_error(await session.get(TASKS), 401, "UNAUTHORIZED")


@on_asyncio
async def test_only_what_this_coordinator_asked_for_signs_in(tmp_path: Path) -> None:
    async with open_world(tmp_path, public_url="https://grid.example") as world:
        alice, bob = await customer(world), await customer(world, "bob")
        http = world.client()
        body = await asked(world, alice)
        foreign = {**body, "signature": sign(bob, body["message"])}
        check_error(await http.post(TOKEN, json=foreign), 401, "SIGNATURE_INVALID")
        now_s = int(time.time())
        for coordinator, network, at_s, code in (
            ("https://evil.example", NETWORK, now_s, "SIGNATURE_INVALID"),
            ("https://grid.example", "ng-other", now_s, "SIGNATURE_INVALID"),
            ("https://grid.example", NETWORK, now_s - SIGN_IN_S - 1, "SIGNATURE_EXPIRED"),
            ("https://grid.example", NETWORK, now_s + SKEW_S + 5, "SIGNATURE_EXPIRED"),
        ):
            text = SignIn(coordinator, network, alice.account.wallet, at_s, "0" * 32).text()
            answer = await http.post(TOKEN, json={"message": text, "signature": sign(alice, text)})
            check_error(answer, 401, code)
        for text in ("hello", body["message"] + "\n", body["message"].replace("T", "t")):
            answer = await http.post(TOKEN, json={"message": text, "signature": sign(alice, text)})
            check_error(answer, 422, "INVALID_REQUEST")
        # Whether a wallet has an account is told to who can sign for it alone.
        nobody = (await http.post(CHALLENGE, json={"wallet": wallet("nobody")})).json()["data"]
        assert nobody.keys() == {"message", "expires_at"}
        check_error(await http.post(CHALLENGE, json={"wallet": "1" * 44}), 422, "INVALID_REQUEST")
        assert (await http.post(TOKEN, json=body)).status_code == 201


@on_asyncio
async def test_with_one_session_too_many_the_oldest_ends(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await customer(world)
        secrets = []
        for _ in range(21):
            answer = await world.client().post(TOKEN, json=await asked(world, alice))
            secrets.append(answer.json()["data"]["access_token"])
        found = await world.database.read(accounts.find_key, secrets[1], 0)
        assert found.revoked_at_ms is None
        answer = await world.client(secrets[0]).get(TASKS)
        assert "revoked" in check_error(answer, 401, "UNAUTHORIZED")
        # They take no key's place.
        made = await alice.http.post(KEYS, json={"name": "one more", "scopes": ["read"]})
        assert made.status_code == 201


@on_asyncio
async def test_the_page_lists_what_has_to_be_signed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        wanted = [
            f"| {method} `{route.path}` |"
            for route in world.app.routes
            if isinstance(route, APIRoute)
            for each in route.dependant.dependencies
            if isinstance(each.call, Entrance) and each.call.signing is Signing.ALWAYS
            for method in sorted(route.methods or ())
        ]
    assert wanted
    section = PAGE.read_text().split("## What has to be signed")[1].split("\n## ")[0]
    said = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    assert said[1:] == [line.strip("| ") for line in wanted], "it is to list:\n" + "\n".join(wanted)


def test_the_pages_python_gives_the_vectors() -> None:
    source = PAGE.read_text().split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the page is ours
    vectors = json.loads((PAGE.parent.parent / "tests/vectors/signed_requests.json").read_text())
    seed = bytes.fromhex(vectors["wallet"]["seed_hex"])
    for each in vectors["requests"]:
        made = names["signed_headers"](
            seed,
            vectors["network"],
            each["method"],
            each["target"],
            each["body"].encode(),
            each["timestamp"],
        )
        assert made == {
            "X-Wallet-Signature": each["signature"],
            "X-Timestamp": str(each["timestamp"]),
        }
