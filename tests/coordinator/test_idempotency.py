"""Every POST and PATCH that there is, sent twice with one `Idempotency-Key`: one effect, and an answer that says so.

The routes are the application's own. A new one has to hold without a line here; `OTHERS` says what is not ours to repeat.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, Table, func, select, update

from coordinator.api_world import USDC, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.owned_things import Thing, webhook
from coordinator.route_access import Operation, Who, access, operations, parameters
from neurogrid_coordinator.store import repeats
from neurogrid_coordinator.store.accounts import ROLES, SCOPES
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.tables import accounts, idempotent_answers, metadata

_METHODS = ("POST", "PATCH")
# What is behind these is a job's own server, which is told the key as it came.
OTHERS = ("/api/v1/services/",)
# Written beside what a request does; the account's sum, which has a row from its first task on; and items of batches, which
# are loaded before it is known whether another request has made the batch.
# What a model is asked is a file, and the same words are the same file.
_BESIDE = {"artifacts", "audit_rows", "idempotent_answers", "account_holds", "batch_items"}


def changing(world: World) -> list[Operation]:
    """What has to be repeatable: not what asks nobody who they are, for nothing is kept of strangers."""
    return [
        operation
        for operation in operations(world.app.routes)
        if operation.method in _METHODS
        and not operation.path.startswith(OTHERS)
        and access(operation).who is Who.KEY
        # What this world can't carry out is refused, and leaves its key free.
        and (access(operation).right or 200) < 300
        # A signature is good once, so nobody can send the same again; what it signs is the whole request.
        and not access(operation).is_signed
    ]


async def rows(world: World) -> dict[str, int]:
    """Table -> rows that are not deleted."""

    def count(conn: Connection, table: Table) -> int:
        query = select(func.count()).select_from(table)
        if "deleted_at_ms" in table.c:
            query = query.where(table.c.deleted_at_ms.is_(None))
        return conn.scalar(query) or 0

    def read(conn: Connection) -> dict[str, int]:
        tables = (table for table in metadata.sorted_tables if table.name not in _BESIDE)
        return {table.name: count(conn, table) for table in tables}

    return await world.database.read(read)


def another(body: bytes) -> bytes:
    """Another request, which a route that keeps the key with what it makes sees as another one, too."""
    if not body:
        return b" "
    document = json.loads(body)
    for name, value in document.items():
        if name in ("name", "url", "input", "prompt") and isinstance(value, str):
            return json.dumps({**document, name: f"{value}x"}).encode()
        if name == "tasks":
            return json.dumps({**document, name: [*value, *value]}).encode()
        if name in ("amount", "limit"):
            return json.dumps({**document, name: 2 if isinstance(value, int) else "2.00"}).encode()
        if name == "grace_seconds":
            return json.dumps({**document, name: value + 1}).encode()
    return body + b" "


async def send(
    alice: Customer, operation: Operation, thing: Thing, body: bytes, key: str
) -> httpx.Response:
    path = operation.path
    for name in parameters(path):
        path = path.replace(f"{{{name}}}", thing.parameters[name])
    return await alice.http.request(
        operation.method, path, content=body or None, headers={"Idempotency-Key": key}
    )


@on_asyncio
async def test_the_openapi_document_names_the_key_wherever_it_is_taken(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        document = (await world.client().get("/openapi.json")).json()
        taken = {
            (operation.method.lower(), operation.path)
            for operation in operations(world.app.routes)
            if operation.method in _METHODS and access(operation).who is Who.KEY
        }
        named = {
            (method, path)
            for path, of_path in document["paths"].items()
            for method, said in of_path.items()
            if "Idempotency-Key" in [each["name"] for each in said.get("parameters", ())]
        }
        documented = {
            (method, path) for path, of_path in document["paths"].items() for method in of_path
        }
        assert named == taken & documented


@on_asyncio
async def test_the_same_request_again_has_no_second_effect_and_another_is_refused(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=10**6 * USDC, scopes=SCOPES, roles=ROLES)
        tried = 0
        for number, operation in enumerate(changing(world)):
            spec = access(operation)
            thing = await spec.thing(world, alice, f"for {operation}")
            body = thing.body if spec.body is None else json.dumps(spec.body).encode()
            before = await rows(world)
            first = await send(alice, operation, thing, body, f"key {number}")
            assert first.is_success, f"{operation}: {first.text}"
            after = await rows(world)
            again = await send(alice, operation, thing, body, f"key {number}")
            assert await rows(world) == after, f"{operation} had a second effect"
            held_a_secret = (
                first.headers["cache-control"] == "no-store" and again.status_code == 409
            )
            assert again.is_success or held_a_secret, f"{operation}: {again.text}"
            if again.is_success:
                of = first.json()["data"].get("id") if "data" in first.json() else None
                assert of is None or again.json()["data"]["id"] == of, operation
            if after != before or "idempotent-replayed" in again.headers:
                other = await send(alice, operation, thing, another(body), f"key {number}")
                check_error(other, 409, "IDEMPOTENCY_MISMATCH")
                assert await rows(world) == after, operation
            tried += 1
        assert tried >= 15


@on_asyncio
async def test_of_two_requests_at_one_moment_one_has_an_effect(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=10**6 * USDC, scopes=SCOPES, roles=ROLES)
        for number, operation in enumerate(changing(world)):
            spec = access(operation)
            alone, two = [await spec.thing(world, alice, f"{operation} {n}") for n in range(2)]
            body = [
                thing.body if spec.body is None else json.dumps(spec.body).encode()
                for thing in (alone, two)
            ]
            before = await rows(world)
            await send(alice, operation, alone, body[0], f"alone {number}")
            between = await rows(world)
            answers = await asyncio.gather(
                *(send(alice, operation, two, body[1], f"two {number}") for _ in range(2))
            )
            after = await rows(world)
            assert {name: after[name] - between[name] for name in after} == {
                name: between[name] - before[name] for name in before
            }, operation
            for answer in answers:
                if not answer.is_success:
                    check_error(answer, 409, "CONFLICT")


@on_asyncio
async def test_what_was_answered_is_answered_again_though_the_state_is_another(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        hook = (await webhook(world, alice, "hook")).parameters["webhook_id"]
        pause, resume = (f"/api/v1/webhooks/{hook}/{verb}" for verb in ("pause", "resume"))
        first = await alice.http.post(pause, headers={"Idempotency-Key": "p"})
        assert first.is_success, first.text
        await alice.http.post(resume)
        again = await alice.http.post(pause, headers={"Idempotency-Key": "p"})
        assert (again.content, again.status_code) == (first.content, first.status_code)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["x-request-id"] != first.headers["x-request-id"]
        shown = (await alice.http.get(f"/api/v1/webhooks/{hook}")).json()["data"]
        assert shown["state"] == "active", "nothing was done once more"
        # A key is its account's own, and of one path.
        answer = await mallory.http.post(pause, headers={"Idempotency-Key": "p"})
        check_error(answer, 404, "NOT_FOUND")
        answer = await alice.http.post(resume, headers={"Idempotency-Key": "p"})
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        for wrong in ("", "x" * 256):
            answer = await alice.http.post(pause, headers={"Idempotency-Key": wrong})
            check_error(answer, 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_refused_request_leaves_its_key_free(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        hook = (await webhook(world, alice, "hook")).parameters["webhook_id"]
        path, headers = f"/api/v1/webhooks/{hook}", {"Idempotency-Key": "p"}
        refused = await alice.http.patch(path, json={"description": 7}, headers=headers)
        check_error(refused, 422, "INVALID_REQUEST")
        mended = await alice.http.patch(path, json={"description": "seven"}, headers=headers)
        assert mended.is_success, mended.text


@contextmanager
def served_as(account_id: str, key: str) -> Iterator[None]:
    with repeats.Scene():
        repeats.expect(repeats.Repeat(account_id, key, lambda: "0" * 64, 24 * 3600 * 1000))
        yield


@pytest.mark.both_databases
@on_asyncio
async def test_a_key_is_claimed_with_the_effect_or_not_at_all_and_forgotten_after_a_day(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        account_id = (await world.customer("alice")).account.id
        database: Database = world.database

        def rename(conn: Connection, name: str) -> None:
            conn.execute(update(accounts).values(name=name))
            if name == "fails":
                raise ZeroDivisionError

        async def claims() -> int:
            return await database.read(
                lambda conn: conn.scalar(select(func.count()).select_from(idempotent_answers)) or 0
            )

        with served_as(account_id, "one"):
            with pytest.raises(ZeroDivisionError):
                await database.write(rename, "fails")
            assert await claims() == 0
            await database.write(rename, "first")
            await database.write(rename, "first, further on")
            assert await claims() == 1
        with served_as(account_id, "one"), pytest.raises(repeats.Taken):
            await database.write(rename, "second")
        name = await database.read(lambda conn: conn.scalar(select(accounts.c.name)))
        assert name == "first, further on"

        def age(conn: Connection) -> None:
            conn.execute(update(idempotent_answers).values(created_at_ms=1))

        await database.write(age)
        with served_as(account_id, "two"):
            await database.write(rename, "a day later")
        assert await claims() == 1, "the old one is gone"


@on_asyncio
async def test_the_operator_says_how_long_an_answer_is_kept(tmp_path: Path) -> None:
    async with open_world(tmp_path, repeats_kept_s=2 * 3600) as world:
        alice = await world.customer("alice")
        hook = (await webhook(world, alice, "hook")).parameters["webhook_id"]
        path, headers = f"/api/v1/webhooks/{hook}/pause", {"Idempotency-Key": "p"}
        await alice.http.post(path, headers=headers)

        def age(conn: Connection, by_ms: int) -> None:
            then = idempotent_answers.c.created_at_ms - by_ms
            conn.execute(update(idempotent_answers).values(created_at_ms=then))

        await world.database.write(age, 119 * 60_000)
        again = await alice.http.post(path, headers=headers)
        assert again.headers["idempotent-replayed"] == "true"
        await world.database.write(age, 2 * 60_000)
        anew = await alice.http.post(path, headers=headers)
        assert anew.is_success
        assert "idempotent-replayed" not in anew.headers


@on_asyncio
async def test_what_a_kill_left_without_an_answer_is_refused_not_done_again(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        hook = (await webhook(world, alice, "hook")).parameters["webhook_id"]
        path, headers = f"/api/v1/webhooks/{hook}/pause", {"Idempotency-Key": "p"}
        await alice.http.post(path, headers=headers)

        def forget(conn: Connection) -> None:
            conn.execute(update(idempotent_answers).values(answer_json=""))

        await world.database.write(forget)
        answer = await alice.http.post(path, headers=headers)
        assert "its answer is not kept" in check_error(answer, 409, "CONFLICT")
