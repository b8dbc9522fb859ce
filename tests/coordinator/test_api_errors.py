"""Every answer that is an error has the one form, and says no more than it should."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS
from neurogrid_coordinator.api.body import JSON_BYTES_MAX
from neurogrid_coordinator.store import accounts


def check_error(answer: httpx.Response, status: int, code: str) -> str:
    body = answer.json()
    assert (answer.status_code, body["error"]["code"]) == (status, code)
    assert set(body) == {"success", "error"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "type", "details"}
    assert answer.headers["x-request-id"].startswith("req_")
    message = body["error"]["message"]
    assert isinstance(message, str)
    return message


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "has no body"),
        (b"{", 400, "not valid JSON"),
        (b'{"docker_image": "a"', 400, "not valid JSON"),
        (b"\xff\xfe", 400, "not valid JSON"),
        (b'{"name": "\\ud800"}', 400, "not valid JSON"),
        (b"[" * 5000, 422, "expected `object`"),
        (b'{"x":' + b"[" * 5000, 422, "is not a field"),
        (b"[]", 422, "the body: expected `object`, got `array`"),
        (b'"text"', 422, "the body: expected `object`"),
    ],
)
def test_malformed_json(tmp_path: Path, body: bytes, status: int, words: str) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await alice.http.post("/api/v1/tasks", content=body)
            assert words in check_error(answer, status, "INVALID_REQUEST")

    asyncio.run(check())


@on_asyncio
async def test_a_body_over_the_limit_is_refused_before_it_has_arrived(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65536
                yield b" " * 65536

        answer = await alice.http.post("/api/v1/tasks", content=endless())
        check_error(answer, 413, "PAYLOAD_TOO_LARGE")
        assert sent <= JSON_BYTES_MAX + 2 * 65536
        announced = {"Content-Length": str(JSON_BYTES_MAX + 1)}
        answer = await alice.http.post("/api/v1/tasks", content=b"x", headers=announced)
        check_error(answer, 413, "PAYLOAD_TOO_LARGE")
        assert answer.json()["error"]["details"] == {"limit_bytes": JSON_BYTES_MAX}


@on_asyncio
async def test_unknown_paths_and_methods(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        check_error(await alice.http.get("/nothing"), 404, "NOT_FOUND")
        check_error(await alice.http.get("/api/v1/nothing"), 404, "NOT_FOUND")
        answer = await alice.http.put("/api/v1/tasks", json={})
        check_error(answer, 405, "METHOD_NOT_ALLOWED")
        assert set(answer.headers["allow"].split(", ")) <= {"GET", "POST"}


# Every route but the public ones: without a key, with a wrong one, and of somebody else.
A_KEY = {"lease_id": "lease_" + "0" * 32, "wrapped_key": "0" * 160}
ROUTES = [
    ("POST", "/api/v1/tasks"),
    ("GET", "/api/v1/tasks"),
    ("GET", "/api/v1/tasks/{id}"),
    ("DELETE", "/api/v1/tasks/{id}"),
    ("GET", "/api/v1/tasks/{id}/logs"),
    ("GET", "/api/v1/tasks/{id}/logs?follow=true"),
    ("GET", "/api/v1/tasks/{id}/logs?offset=0"),
    ("GET", "/api/v1/tasks/{id}/outputs"),
    ("GET", "/api/v1/tasks/{id}/outputs/a/b"),
    ("GET", "/api/v1/tasks/{id}/receipt"),
    ("GET", "/api/v1/tasks/{id}/auctions"),
    ("GET", "/api/v1/tasks/{id}/events"),
    ("GET", "/api/v1/tasks/{id}/key"),
    ("POST", "/api/v1/tasks/{id}/key"),
    ("POST", "/api/v1/workflows"),
    ("GET", "/api/v1/workflows"),
    ("GET", "/api/v1/workflows/flow_1"),
    ("DELETE", "/api/v1/workflows/flow_1"),
    ("PUT", "/api/v1/artifacts/" + "0" * 64),
    ("GET", "/api/v1/artifacts/" + "0" * 64),
    ("GET", "/api/v1/nodes"),
    ("GET", "/api/v1/nodes/some"),
    ("GET", "/api/v1/nodes/some/reputation"),
    ("GET", "/api/v1/constraints"),
    ("GET", "/api/v1/market/prices"),
    ("POST", "/api/v1/match/estimate"),
    ("POST", "/api/v1/match/explain"),
    ("GET", "/api/v1/account"),
]


@on_asyncio
async def test_every_route_wants_a_good_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        expired, _ = await world.key_of(alice.account, expires_at_ms=1)
        revoked, _ = await world.key_of(alice.account)
        key_id = (
            await world.database.read(lambda conn: accounts.find_key(conn, revoked, NOW_MS - 1))
        ).id
        await world.database.write(lambda conn: accounts.revoke_key(conn, key_id, NOW_MS))
        for method, path in ROUTES:
            for credential, code in [
                ("", "UNAUTHORIZED"),
                ("Basic abc", "UNAUTHORIZED"),
                ("Bearer ", "UNAUTHORIZED"),
                ("Bearer ng_wrong", "UNAUTHORIZED"),
                (f"Bearer {'x' * 600}", "UNAUTHORIZED"),
                (f"Bearer {revoked}", "UNAUTHORIZED"),
                (f"Bearer {expired}", "KEY_EXPIRED"),
            ]:
                answer = await world.client().request(
                    method, path, headers={"Authorization": credential}
                )
                message = check_error(answer, 401, code)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "ng_wrong" not in message


def test_the_list_of_routes_is_complete(tmp_path: Path) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            document = (await world.client().get("/openapi.json")).json()
            public = {
                ("GET", "/health"),
                ("GET", "/api/v1/status"),
                ("GET", "/api/v1/verification/commitments"),
                ("GET", "/api/v1/nodes/{node_id}/evidence"),
                ("GET", "/api/v1/challenges/{challenge_id}/evidence"),
            }
            documented = {
                (method.upper(), path)
                for path, operations in document["paths"].items()
                for method in operations
            }
            tested = {(method, path.partition("?")[0]) for method, path in ROUTES}
            names = {
                "task_id": "{id}",
                "path": "a/b",
                "sha256": "0" * 64,
                "node_id": "some",
                "workflow_id": "flow_1",
            }
            for method, path in documented - public:
                for name, value in names.items():
                    path = path.replace("{" + name + "}", value)
                assert (method if method != "HEAD" else "GET", path) in tested

    asyncio.run(check())


@on_asyncio
async def test_somebody_elses_task_does_not_exist(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        for method, path in ROUTES:
            if "{id}" not in path:
                continue
            # A body is read before the task is looked for.
            body = A_KEY if method == "POST" else None
            theirs = await mallory.http.request(method, path.format(id=task_id), json=body)
            nobodys = await mallory.http.request(
                method, path.format(id="task_" + "0" * 32), json=body
            )
            said = check_error(theirs, 404, "NOT_FOUND")
            # Not even the words tell whether there is one.
            assert said.replace(task_id, "") == check_error(nobodys, 404, "NOT_FOUND").replace(
                "task_" + "0" * 32, ""
            )
        assert (await mallory.http.get("/api/v1/tasks")).json()["data"]["total"] == 0
        assert (await world.state(task_id)).cancel_requested is False


@on_asyncio
async def test_a_reading_key_cannot_write(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        reader = await world.customer("reader", scopes=("read",))
        assert (await reader.http.get("/api/v1/tasks")).status_code == 200
        answer = await reader.http.post("/api/v1/tasks", json=TASK)
        check_error(answer, 403, "FORBIDDEN")
        assert answer.json()["error"]["details"] == {"scope": "write"}
        check_error(await reader.http.delete("/api/v1/tasks/x"), 403, "FORBIDDEN")


@on_asyncio
async def test_a_bug_of_ours_tells_its_request_id_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        world.market.bug = ZeroDivisionError("the secret is swordfish")
        answer = await alice.http.post("/api/v1/tasks", json=TASK)
        check_error(answer, 500, "INTERNAL")
        assert "swordfish" not in answer.text
        assert answer.json()["error"]["details"] == {"request_id": answer.headers["x-request-id"]}
        assert answer.headers["x-request-id"] in caplog.text


@on_asyncio
async def test_limits_are_counted_per_key_and_told_in_headers(tmp_path: Path) -> None:
    async with open_world(tmp_path, requests_per_minute=3) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        remaining = []
        for _ in range(3):
            answer = await alice.http.get("/api/v1/tasks")
            assert answer.headers["x-ratelimit-limit"] == "3"
            assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
            remaining.append(answer.headers["x-ratelimit-remaining"])
        assert remaining == ["2", "1", "0"]
        answer = await alice.http.get("/api/v1/tasks")
        check_error(answer, 429, "RATE_LIMITED")
        assert 1 <= int(answer.headers["retry-after"]) <= 21
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert (await bob.http.get("/api/v1/tasks")).status_code == 200
        # Guesses at keys are counted by address, and do not touch anybody's key.
        codes = [
            (await world.client("ng_guess").get("/api/v1/tasks")).status_code for _ in range(4)
        ]
        assert codes == [401, 401, 401, 429]
        assert (await bob.http.get("/api/v1/tasks")).status_code == 200


@on_asyncio
async def test_public_routes_need_no_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert (await world.client().get("/health")).json() == {"status": "ok"}
        status = (await world.client().get("/api/v1/status")).json()["data"]
        assert (status["status"], status["market"], status["nodes"]) == ("ok", "up", 2)
        assert status["tasks"]["pending"] == 0
        world.market.away = True
        status = (await world.client().get("/api/v1/status")).json()["data"]
        assert (status["status"], status["market"]) == ("degraded", "down")


@on_asyncio
async def test_the_openapi_document_describes_what_is_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        document = (await world.client().get("/openapi.json")).json()
        schemas = document["components"]["schemas"]
        assert "cpu_cores" in schemas["ResourceRequirements"]["properties"]
        assert r"\Z" not in json.dumps(schemas)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                assert operation["summary"], path
                for reference in _references(operation):
                    assert reference.rpartition("/")[2] in schemas
        page = await world.client().get("/docs")
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert "http" not in page.text.replace("http-equiv", "")


def _references(value: object) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [ref for item in value.values() for ref in _references(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in _references(item)]
    return []
