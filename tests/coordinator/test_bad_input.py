"""Bad input, of each kind to each route: an answer in the form of its path, with a code that is ours, and never a 5xx.

The routes are the application's own, and what is spoiled is a request to each that would be answered with success
(`right_requests`). Slow bodies and idle sockets are in test_http_connections.py, keys and signatures in
test_authorization.py and test_api_signatures.py.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from coordinator.api_world import USDC, Customer, World, open_world
from coordinator.error_answers import error_of
from coordinator.right_requests import Right, right_request, send_right
from coordinator.route_access import WEBSOCKET, Operation, operations, parameters
from neurogrid_coordinator.api.errors import CODES
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_MIB = 1024 * 1024
# Fits no field, but one that takes any JSON.
_WRONG = [[1], {"": None}]
# Fields that take any JSON.
_FREE = {"metadata", "parameters", "input", "config", "options", "extra"}
# A job's own paths, which no job answers here; and what these answer is no JSON of ours.
_JOBS = "/api/v1/services/"
_OAUTH = "/oauth/"


@dataclass(frozen=True)
class Bad:
    """A request that was spoiled.

    Attributes:
        what: how.
        must_fail: it cannot be taken; what could is only never to be a failure of ours.
    """

    what: str
    right: Right
    must_fail: bool = True


def _bodies(right: Right) -> Iterator[Bad]:
    """A right JSON body, spoiled."""

    def bad(what: str, body: bytes, *, must_fail: bool = True) -> Bad:
        return Bad(what, replace(right, body=body), must_fail)

    fields = json.loads(right.body)
    assert isinstance(fields, dict), "every JSON body of ours is an object"
    yield Bad("a form", replace(right, body=b"a=b", kind=_FORM))
    yield Bad("no JSON", replace(right, body=b"text", kind="text/plain"))
    yield bad("10 MB", right.body + b" " * (10 * _MIB))
    yield bad("deep", b'{"":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    yield bad("an array that deep", b"[" * 100_000)
    yield bad("not UTF-8", right.body.replace(b"{", b'{"\xff\xfe":1,', 1))
    yield bad("half a surrogate", right.body.replace(b"{", b'{"\\ud800":1,', 1))
    yield bad("cut off", right.body[:-1])
    yield bad("an unfinished number", right.body.replace(b"{", b'{"x":-,', 1))
    for value in (b"[]", b"null", b'"text"', b"1", b"true"):
        yield bad(value.decode(), value)
    for name, value in fields.items():
        yield bad(f"{name}: wrong", _with(fields, name, _WRONG), must_fail=name not in _FREE)
        if not isinstance(value, str):
            yield bad(f"{name}: text", _with(fields, name, "text"), must_fail=False)
        yield bad(f"{name}: null", _with(fields, name, None), must_fail=False)
        huge = _with(fields, name, "@").replace(b'"@"', b"1" * 5000)
        yield bad(f"{name}: a number of 5000 digits", huge, must_fail=name not in _FREE)
        infinite = _with(fields, name, "@").replace(b'"@"', b"1e400")
        yield bad(f"{name}: 1e400", infinite, must_fail=name not in _FREE)
        if isinstance(value, str):
            yield bad(f"{name}: NUL", _with(fields, name, f"{value}\0"), must_fail=False)
            yield bad(f"{name}: long", _with(fields, name, "x" * 900_000), must_fail=False)
        twice = b"{" + json.dumps(name).encode() + b":[[1]]," + right.body.lstrip()[1:]
        yield bad(f"{name}: twice", twice, must_fail=False)


def _with(fields: dict[str, Any], name: str, value: object) -> bytes:
    return json.dumps({**fields, name: value}).encode()


_IDS = (
    "x" * 5000,
    "%00",
    "a%00b",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%ff%fe",
    "9" * 40,
    "-1",
    quote("\U0001f600 '; drop table tasks; --"),
)


def _paths(operation: Operation, right: Right) -> Iterator[Bad]:
    """Other ids in a path, one at a time, that nothing has."""
    pattern = re.sub(r"\{(\w+):path\}", r"(?P<\1>.+)", operation.path)
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/?]+)", pattern)
    found = re.match(pattern, right.path)
    assert found, (operation, right.path)
    for name in parameters(operation.path):
        for bad in _IDS:
            path = right.path[: found.start(name)] + bad + right.path[found.end(name) :]
            yield Bad(f"{name} is {bad[:20]}", replace(right, path=path), must_fail=False)


_VALUES = ("9" * 40, "-1", "1e309", "%00", "%ff", "x" * 10_000, "", "null", "%5B%5D")


def _queries(right: Right, names: list[str]) -> Iterator[Bad]:
    """Parameters of a query, one at a time."""
    join = "&" if "?" in right.path else "?"
    for name in names:
        for value in _VALUES:
            path = f"{right.path}{join}{name}={value}"
            yield Bad(f"{name}={value[:20]}", replace(right, path=path), must_fail=False)


def _wrong(operation: Operation, bad: Bad, answer: httpx.Response) -> str:
    """What is wrong with an answer; "" if nothing."""
    said = f"{operation}, {bad.what}: {answer.status_code} {answer.text[:200]}"
    if answer.status_code >= 500 or (bad.must_fail and answer.status_code < 400):
        return said
    if answer.status_code < 400 or operation.method == "HEAD":
        return ""
    if operation.path.startswith(_OAUTH):
        # RFC 6749's form, or a page for people (test_api_oauth.py).
        return "" if "error" in answer.text.lower() or "<html" in answer.text else said
    try:
        error = error_of(answer)
    except (AssertionError, KeyError, ValueError) as cause:
        return f"{said}: not in its form: {cause!r}"
    return "" if error.code in CODES or error.code in _DIALECTS else f"{said}: an unknown code"


# Codes that documents print, in place of ours.
_DIALECTS = {
    "VALIDATION_ERROR",
    "INVALID_CRON_EXPRESSION",
    "TASK_NOT_FOUND",
    "MODEL_NOT_SUPPORTED",
}


class _Asking:
    """Every operation, asked by one who may."""

    def __init__(self, world: World, document: dict[str, Any]) -> None:
        self._world = world
        self._document = document
        self.asked = 0

    async def operation(self, operation: Operation) -> list[str]:
        """What is wrong with its answers."""
        who = await self._world.customer(
            f"of {operation}", deposit=100_000 * USDC, scopes=SCOPES, roles=ROLES
        )
        right = await right_request(self._world, who, operation, f"for {operation}")
        wrong = []
        for bad in self._all(operation, right):
            wrong.append(_wrong(operation, bad, await self._answer(who, operation, bad.right)))
            self.asked += 1
        return [each for each in wrong if each]

    def _all(self, operation: Operation, right: Right) -> Iterator[Bad]:
        if parameters(operation.path):
            yield from _paths(operation, right)
        if names := self._query_names(operation):
            yield from _queries(right, names)
        if "requestBody" not in self._said(operation):
            return
        if right.kind == _JSON:
            yield from _bodies(right)
        elif right.kind:
            yield Bad("JSON", replace(right, body=b"{}", kind=_JSON), must_fail=False)
            yield Bad("nothing", replace(right, body=b""), must_fail=False)
            yield Bad("not UTF-8", replace(right, body=b"\xff=\xfe&\0"), must_fail=False)

    def _said(self, operation: Operation) -> dict[str, Any]:
        """What the document says of it; nothing of what is no part of it."""
        of_path = self._document["paths"].get(operation.path.replace(":path}", "}"), {})
        said = of_path.get(operation.method.lower(), {})
        assert isinstance(said, dict)
        return said

    def _query_names(self, operation: Operation) -> list[str]:
        # A stream has no end to be waited for, and patience is what it says.
        left_out = {"follow", "wait_seconds"}
        return [
            each["name"]
            for each in self._said(operation).get("parameters", ())
            if each["in"] == "query" and each["name"] not in left_out
        ]

    async def _answer(self, who: Customer, operation: Operation, right: Right) -> httpx.Response:
        async with asyncio.timeout(60):
            return await send_right(self._world, who, operation, right)


@pytest.mark.both_databases
def test_bad_input_is_refused_in_the_form_of_its_path(tmp_path: Path) -> None:
    async def ask_all() -> tuple[list[str], int]:
        async with open_world(tmp_path, operations=OperationSettings(wait_s=5)) as world:
            document = (await world.client().get("/openapi.json")).json()
            asking = _Asking(world, document)
            wrong: list[str] = []
            for operation in operations(world.app.routes):
                if operation.method != WEBSOCKET and not operation.path.startswith(_JOBS):
                    wrong += await asking.operation(operation)
            return wrong, asking.asked

    wrong, asked = asyncio.run(ask_all())
    assert not wrong, f"{len(wrong)} of {asked}:\n" + "\n".join(wrong)
    assert asked > 2_000
