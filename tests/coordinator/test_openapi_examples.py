"""The OpenAPI document's examples, and what it says of many operations in the same words."""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import USDC, open_world
from coordinator.asking import ask
from coordinator.documented import errors_of, misfits, unknown_fields
from coordinator.on_asyncio import on_asyncio
from coordinator.route_access import SPECIAL, Operation, Who, access
from neurogrid_coordinator.api.error_answers import EXAMPLES, codes_of
from neurogrid_coordinator.api.errors import CODES
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

_JSON = "application/json"
# Streams, files and pages; or a socket.
_NO_JSON = {
    "GET /api/v1/tasks/{task_id}/events",
    "GET /api/v1/batches/{batch_id}/results",
}
# What these name is made by an answer, or lies in a folder: no example can have it.
_NAMES_SOMETHING = {
    "POST /api/v1/auth/token",
    "POST /api/v1/wallet/transfers/{transfer_id}/submit",
    "POST /runner/api/v1/scheduled-tasks",
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document, as clients get it."""

    async def read() -> dict[str, Any]:
        async with open_world(tmp_path_factory.mktemp("document")) as world:
            found = (await world.client().get("/openapi.json")).json()
            assert isinstance(found, dict)
            return found

    return asyncio.run(read())


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and what is said of it."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_operation_shows_an_answer_that_it_may_give(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get(_JSON)
            name = f"{method} {path}"
            if not status.startswith("2") or content is None or name in _NO_JSON:
                continue
            assert "example" in content, f"{name} {status}: run `make examples`"
            wrong = misfits(document, operation, content["example"])
            assert not wrong, f"{name}: {wrong}; run `make examples`"


def test_every_error_answer_shows_an_error_with_each_of_its_codes(document: dict[str, Any]) -> None:
    shown = document["components"]["examples"]
    assert shown.keys() == EXAMPLES.keys() == CODES.keys()
    schema = {"$ref": "#/components/schemas/ErrorAnswer"}
    for code, example in shown.items():
        assert (example["value"]["error"]["code"], example["value"]["error"]["type"]) == (
            code,
            CODES[code][1],
        )
        assert not errors_of(document, schema, example["value"])
        assert not unknown_fields(document, schema, example["value"])
    for method, path, operation in _operations(document):
        for status, answer in operation["responses"].items():
            codes = codes_of(answer)
            if codes:
                assert list(answer["content"][_JSON]["examples"]) == codes
                assert status == "400" or {str(CODES[code][0]) for code in codes} == {status}
            elif path.startswith("/api/v1/"):
                assert not status.startswith(("4", "5")), f"{method} {path} {status}"


def test_who_is_let_in_is_what_the_table_of_who_may_what_says(document: dict[str, Any]) -> None:
    # A route's own path may have a parameter that takes slashes.
    own = {(method, path.replace(":path}", "}")): path for method, path in SPECIAL}
    for method, path, operation in _operations(document):
        spec = access(Operation(method, own.get((method, path), path)))
        security = operation["security"]
        if spec.who is Who.ANYBODY:
            assert all("api_key" not in each for each in security), f"{method} {path}"
        elif spec.who is Who.NODE:
            assert security == [{"lease_token": []}]
        else:
            assert security == [{"api_key": []}, {"oauth": [spec.scope]}], f"{method} {path}"
        for name in (name for each in security for name in each):
            assert name in document["components"]["securitySchemes"]


def test_a_parameter_says_what_it_is(document: dict[str, Any]) -> None:
    for method, path, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), f"{method} {path}: {parameter['name']}"


@on_asyncio
async def test_a_body_that_is_shown_is_one_that_is_taken(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.web.private["your-app.com", 443] = ip_address("127.0.0.1")
        document = (await world.client().get("/openapi.json")).json()
        sent = 0
        refused: list[str] = []
        for method, path, operation in _operations(document):
            content = operation.get("requestBody", {}).get("content", {}).get(_JSON)
            name = f"{method} {path}"
            if content is None:
                continue
            assert "example" in content, f"{name} shows no body"
            assert not errors_of(document, content["schema"], content["example"]), name
            assert not unknown_fields(document, content["schema"], content["example"]), name
            if name in _NAMES_SOMETHING:
                continue
            # Each for itself: some change what the account's wallet has to sign.
            alice = await world.customer(
                f"alice {sent}", deposit=1000 * USDC, scopes=SCOPES, roles=ROLES
            )
            own = Operation(method, path)
            thing = await access(own).thing(world, alice, f"for {name}")
            where = path.format(**thing.parameters)
            body = json.dumps(content["example"]).encode()
            signed = alice.signed(method, where, body) if access(own).is_signed else None
            answer = await ask(world, own, where, f"Bearer {alice.key}", body, signed)
            # What it names may not be there, or not fit; but there is nothing wrong in it.
            if answer.status_code in (400, 413, 422, 500):
                refused.append(f"{name}: {answer.text[:500]}")
            sent += 1
        assert not refused, "\n".join(refused)
        assert sent >= 40
