"""Every answer that is an error has the one form, and says no more than it should."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from coordinator.api_world import TASK, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.api.body import JSON_BYTES_MAX
from neurogrid_coordinator.api.choices import choices
from neurogrid_coordinator.api.last_word import DRAINED_BYTES_MAX


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
async def test_a_compressed_body_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        packed = gzip.compress(json.dumps(TASK).encode())
        headers = {"Content-Encoding": "gzip"}
        answer = await alice.http.post("/api/v1/tasks", content=packed, headers=headers)
        assert "without gzip" in check_error(answer, 422, "INVALID_REQUEST")
        headers = {"Content-Encoding": "identity"}
        answer = await alice.http.post("/api/v1/tasks", json=TASK, headers=headers)
        assert answer.status_code == 201


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("kind", []),
        ("name", ["a", "b"]),
        ("many[3]", ["x", "y"]),
        ("by_name[...]", ["x", "y"]),
        ("inner.level", ["low", "high"]),
        ("inner.there_is_none", []),
        ("many.level", []),
    ],
)
def test_the_words_that_a_field_may_have_are_found(path: str, words: list[str]) -> None:
    class Level(Enum):
        LOW = "low"
        HIGH = "high"

    class Inner(msgspec.Struct, frozen=True):
        level: Level | None = None

    class Outer(msgspec.Struct):
        kind: str
        name: Annotated[Literal["a", "b"] | int, Meta(description="or a number")]
        many: list[Literal["x", "y"]]
        by_name: dict[str, Literal["x", "y"]]
        inner: Inner = Inner()

    assert choices(Outer, path) == words


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
        # Some of the rest is taken, so that the answer arrives.
        assert sent <= JSON_BYTES_MAX + DRAINED_BYTES_MAX + 2 * 65536
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
        assert set(answer.headers["allow"].split(", ")) <= {"GET", "HEAD", "POST"}


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
async def test_public_routes_need_no_key(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        assert (await world.client().get("/health")).json()["status"] == "healthy"
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
                    kind, _, name = reference.removeprefix("#/components/").partition("/")
                    assert name in document["components"][kind], f"{path}: {reference}"
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
