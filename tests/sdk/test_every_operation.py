"""Every operation of the API has a method of the SDK, or a reason why not."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.served import ServedWorld

SDK = Path(__file__).parent.parent.parent / "sdk" / "neurogrid"
API = "/api/v1"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"})
# Methods of ours that make a request of one kind, and which.
_BY_CALL = {"stream": "GET", "_move": "POST", "_asked": "POST", "_ask": "POST", "_listen": "POST"}
_FOR = {
    "_asked": "",
    "_move": "",
    "_ask": "/models/generate/",
}
# What has no method, and why.
WITHOUT = {
    r".* /(v1|runner|api/task|api/tasks|api/resources|api/audit|api/errors|api/keys|api/webhooks)\b": (
        "a dialect, for other people's clients"
    ),
    r"(GET|POST) /(devices|tasks|tasks/enhanced|ai/.*|health|metrics)?$": "a dialect, too",
    r"(GET|POST) /(oauth/(authorize|revoke|introspect)|\.well-known/.*)$": (
        "for browsers and for other servers; oauth.py asks for tokens by httpx"
    ),
    r"POST /oauth/token$": "oauth.py",
    r"POST /api/v1/auth/": "a browser signs in with its wallet so; programs have keys",
    r".* /api/v1/operator/": "an operator's, who has pages and `neurogrid-coordinator` for it",
    r".* /api/v1/errors": "ErrorLog, whose path depends on whose errors are asked for",
    r".* /api/v1/provider/mailboxes/": "machine/mailbox.py, whose path is below its mailbox's",
    r".* /api/v1/artifacts/\{sha256\}/checkpoint": "a node's, with its lease's token",
    r".* /api/v1/links/": "for whoever has the link, and no key",
    r"GET /api/v1/tasks/\{task_id\}/(exec|port)$": "WebSockets: `open_exec`, `open_port`",
    r"GET /api/v1/tasks/\{task_id\}/(outputs|checkpoints/\{sequence\}/files)/\{path\}$": (
        "`download`, `download_checkpoint`, whose path is made of two"
    ),
    r"GET /api/v1/wallet/deposits$": 'Wallet.list_transfers(kind="deposit")',
    r"POST /api/v1/billing/credits$": "Wallet.deposit by another name",
    r"GET /api/v1/metrics$": "Analytics.get_task_metrics and Client.status have all of it",
}


def _requests() -> set[tuple[str, str]]:
    """Method and path of every request that the SDK may send; what is filled in is ``{}``."""
    found: set[tuple[str, str]] = set()
    for file in [*(SDK / "aio").glob("*.py"), *(SDK / "machine").glob("*.py")]:
        tree = ast.parse(file.read_text("utf-8"))
        constants = _named(tree.body, {})
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= set(_of_function(function, constants))
    return found


def _of_function(
    function: ast.FunctionDef | ast.AsyncFunctionDef, constants: dict[str, str]
) -> Iterator[tuple[str, str]]:
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    names = _named(statements, constants)
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
        texts = [text for each in arguments if (text := _text(each, names)) is not None]
        methods = [text for text in texts if text in _METHODS] or [_BY_CALL.get(called, "")]
        for text in texts:
            path = _FOR.get(called, "") + text
            if path.startswith("/") and methods[0]:
                yield methods[0], path


def _named(statements: list[ast.stmt], known: dict[str, str]) -> dict[str, str]:
    names = dict(known)
    for node in statements:
        if isinstance(node, ast.Assign) and len(targets := node.targets) == 1:
            (target,) = targets
            pairs = [(target, node.value)]
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = list(zip(target.elts, node.value.elts, strict=True))
            for name, value in pairs:
                text = _text(value, names)
                if isinstance(name, ast.Name) and text is not None:
                    names[name.id] = text
    return names


def _text(node: ast.expr, names: dict[str, str]) -> str | None:
    match node:
        case ast.Constant(str(text)):
            return text
        case ast.Name(name):
            return names.get(name)
        case ast.JoinedStr(parts):
            return "".join(_part(part, names) for part in parts)
    return None


def _part(part: ast.expr, names: dict[str, str]) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    return _text(part.value, names) or "{}"


@pytest.fixture
def operations(api: ServedWorld) -> set[str]:
    """Of the OpenAPI document."""
    document = api.world.app.openapi()
    return {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item
        if method.upper() in _METHODS
    }


def test_every_operation_has_a_method_or_a_reason(operations: set[str]) -> None:
    sent = {f"{method} {API}{re.sub('{[^}]*}', '{}', path)}" for method, path in _requests()}
    lacking = {each for each in operations if re.sub("{[^}]*}", "{}", each) not in sent}
    reasons = {
        each: [why for what, why in WITHOUT.items() if re.match(what, each)] for each in lacking
    }
    assert not sorted(each for each in lacking if not reasons[each])


def test_every_reason_is_needed(operations: set[str]) -> None:
    sent = {f"{method} {API}{re.sub('{[^}]*}', '{}', path)}" for method, path in _requests()}
    lacking = {each for each in operations if re.sub("{[^}]*}", "{}", each) not in sent}
    assert [what for what in WITHOUT if not any(re.match(what, each) for each in lacking)] == []
