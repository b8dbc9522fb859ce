"""Requests made from the OpenAPI document: no answer is a 5xx, and none is another than the document says.

They go to the application as it is, without a network; the same ones in each run. ``API_EXAMPLES`` makes more.
"""

import asyncio
import os
import random
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, Case
from schemathesis.checks import CHECKS
from schemathesis.core.result import Err

from coordinator.api_world import USDC, Customer, World, open_world
from coordinator.owned_things import finished_task
from coordinator.right_requests import Right, helping, real_parameters, right_request, send_right
from coordinator.route_access import Operation, operations, parameters
from neurogrid_coordinator.services.operations import OperationSettings
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

_EXAMPLES = int(os.environ.get("API_EXAMPLES", "20"))
_ANSWER_LIMIT_S = 30
# How long a request may wait for something that nobody says here.
_PATIENCE = "wait_seconds"
_SENT = ("method", "url", "params", "headers", "json")
# Operations that may refuse a request that fits their schema, and why.
_FIELDS = "a schema does not say how fields go together"
_LANGUAGE = (
    "a text in a language of its own: a condition, a cron expression, a URL, a transaction, a key"
)
_THERE = "names what has to be there: a model, an operation, an event"
_FEATURES = "a model can do less than OpenAI's fields ask for"
_MONEY = "the account may not be able to pay it"
_REFUSES = {
    "POST /api/v1/tasks": f"{_FIELDS}; {_LANGUAGE}; {_MONEY}",
    "PATCH /api/v1/tasks/{task_id}": f"{_FIELDS}; {_LANGUAGE}; {_MONEY}",
    "POST /api/v1/tasks/{task_id}/execute": f"{_FIELDS}; {_LANGUAGE}; {_MONEY}",
    "GET /api/v1/tasks/{task_id}/exec": "is a WebSocket's",
    "GET /api/v1/tasks/{task_id}/port": "is a WebSocket's",
    "POST /api/v1/tasks/{task_id}/key": _LANGUAGE,
    "POST /api/v1/workflows": f"{_FIELDS}; {_LANGUAGE}; {_MONEY}",
    "POST /api/v1/batches": f"{_FIELDS}; {_LANGUAGE}",
    "POST /api/v1/scheduled-tasks": f"{_FIELDS}; {_LANGUAGE}",
    "POST /api/v1/scheduled-tasks/preview": f"{_FIELDS}; {_LANGUAGE}",
    "PATCH /api/v1/scheduled-tasks/{schedule_id}": f"{_FIELDS}; {_LANGUAGE}",
    "PUT /api/v1/artifacts/{sha256}": "the hash is that of the body",
    "GET /api/v1/providers": "pydantic's pattern of a decimal takes an empty text, and pydantic doesn't",
    "POST /api/v1/match/explain": f"{_FIELDS}; {_LANGUAGE}",
    "POST /api/v1/match/estimate": f"{_FIELDS}; {_LANGUAGE}",
    "POST /api/v1/models/generate/text": f"{_THERE}; {_MONEY}",
    "POST /api/v1/models/generate/image": f"{_THERE}; {_MONEY}",
    "POST /api/v1/models/transcribe": f"{_THERE}; {_FIELDS}",
    "POST /v1/chat/completions": f"{_THERE}; {_FEATURES}",
    "POST /v1/completions": f"{_THERE}; {_FEATURES}",
    "POST /v1/embeddings": f"{_THERE}; {_FEATURES}",
    "POST /v1/images/generations": f"{_THERE}; {_FEATURES}",
    "POST /v1/audio/transcriptions": f"{_THERE}; a recording begins as one",
    "POST /v1/audio/translations": "always",
    "POST /v1/files": "a form has one purpose",
    "POST /v1/batches": _THERE,
    "POST /api/v1/auth/challenge": _LANGUAGE,
    "POST /api/v1/auth/token": _LANGUAGE,
    "POST /oauth/token": _FIELDS,
    "POST /oauth/revoke": "a form has each field once, and no control characters",
    "POST /oauth/introspect": "a form has each field once, and no control characters",
    "GET /oauth/authorize": _THERE,
    "POST /oauth/authorize": _THERE,
    "POST /api/v1/oauth/clients": f"{_FIELDS}; {_LANGUAGE}",
    "POST /api/v1/wallet/deposits": "an amount is more than nothing",
    "POST /api/v1/wallet/withdrawals": "an amount is more than nothing",
    "POST /api/v1/wallet/transfers/{transfer_id}/submit": _LANGUAGE,
    "POST /api/v1/provider/mailboxes": _LANGUAGE,
    "POST /api/v1/billing/credits": _FIELDS,
    "GET /api/v1/billing/history": "ends after it begins",
    "POST /api/v1/api-keys": f"{_FIELDS}; a moment is to come",
    "POST /api/v1/api-keys/{key_id}/rotate": f"{_FIELDS}; a moment is to come",
    "GET /api/v1/events": _THERE,
    "POST /api/v1/webhooks": _LANGUAGE,
    "PATCH /api/v1/webhooks/{webhook_id}": _LANGUAGE,
    "POST /api/task": f"{_THERE}; {_LANGUAGE}",
    "POST /api/tasks/batch": f"{_THERE}; {_LANGUAGE}",
    "GET /api/tasks/statuses": "a list of ids with commas",
    "POST /api/keys/generate": "a moment is to come",
    "POST /api/webhooks/configure": _LANGUAGE,
    "POST /tasks": _THERE,
    "POST /ai/tasks": f"{_FIELDS}; {_THERE}",
    "POST /runner/api/v1/tasks": f"{_FIELDS}; {_THERE}",
    "PATCH /runner/api/v1/tasks/{own_id}": f"{_FIELDS}; {_THERE}",
    "POST /runner/api/v1/batches": f"{_FIELDS}; {_THERE}",
    "POST /runner/api/v1/scheduled-tasks": f"{_FIELDS}; {_LANGUAGE}",
    "PATCH /runner/api/v1/scheduled-tasks/{schedule_id}": f"{_FIELDS}; {_LANGUAGE}",
    "GET /runner/api/v1/metrics/tasks": _THERE,
}
# Who is let in without a key, or with another, is test_authorization.py's: here all requests have a good one.
_ELSEWHERE = ("ignored_auth",)
# Of all operations, those whose right request is not answered with success here.
_NOT_SHOWN = {
    # No model does.
    "POST /v1/audio/translations": 400,
    # They are WebSockets', which tests/coordinator/test_api_exec.py and test_api_port.py open.
    "GET /api/v1/tasks/{task_id}/exec": 426,
    "GET /api/v1/tasks/{task_id}/port": 426,
}


class _Rig:
    """A world and its loop, for what makes examples, which is not asynchronous."""

    def __init__(self, runner: asyncio.Runner, world: World, alice: Customer) -> None:
        self._runner = runner
        self.world = world
        self.alice = alice

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(asyncio.wait_for(work, _ANSWER_LIMIT_S))

    def send(self, case: Case[Any], right: Right, who: Customer) -> httpx.Response:
        made = case.as_transport_kwargs(base_url="http://api")
        wanted = {name: made[name] for name in _SENT if name in made}
        if "json" in wanted:
            wanted["json"] = _whole(wanted["json"])
        if "data" in made:
            # A form's fields, or bytes.
            kind = "data" if isinstance(made["data"], dict) else "content"
            wanted[kind] = made["data"]
        answer = self.run(self._asked(wanted, right, who))
        assert isinstance(answer, httpx.Response)
        return answer

    async def _asked(self, wanted: dict[str, Any], right: Right, who: Customer) -> httpx.Response:
        async with helping(self.world, right):
            return await who.http.request(**wanted)


async def customer(world: World, name: str) -> Customer:
    """Who may do everything, and pay for it."""
    return await world.customer(name, deposit=100_000 * USDC, scopes=SCOPES, roles=ROLES)


def _whole(value: Any) -> Any:
    """The same JSON with whole numbers written without a point, as we read them."""
    match value:
        case dict():
            return {name: _whole(each) for name, each in value.items()}
        case list():
            return [_whole(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


def _operation_of(rig: _Rig, operation: APIOperation[Any, Any, Any, Any]) -> Operation:
    """The route that the document's operation is of."""
    for found in operations(rig.world.app.routes):
        if (found.method.lower(), _plain(found.path)) == (operation.method, operation.path):
            return found
    raise AssertionError(f"{operation.label} is of no route")


def _checks(*names: str) -> list[Any]:
    found = [check for check in CHECKS.get_all() if check.__name__ in names]
    assert len(found) == len(names)
    return found


def _plain(path: str) -> str:
    return path.replace(":path}", "}")


def _try(rig: _Rig, operation: APIOperation[Any, Any, Any, Any]) -> None:
    """Send the right request, and examples; every second of those about what is there, but for its end."""
    route = _operation_of(rig, operation)
    # Nodes and orchestrator go on from now, however long they worked for the operations before.
    rig.world.now_ms = time.time_ns() // 1_000_000
    # An account may have only so many of some things, and examples make more of them.
    another = rig.run(customer(rig.world, f"of {route}"))
    has_parameters = bool(parameters(route.path))
    shows_all = route.method in ("GET", "HEAD") and not has_parameters
    asker = rig.alice if shows_all else another
    right = rig.run(right_request(rig.world, asker, route, f"for {route}"))
    real = rig.run(real_parameters(rig.world, another, route))
    answer = rig.run(send_right(rig.world, asker, route, right))
    wanted = _NOT_SHOWN.get(operation.label)
    assert answer.status_code == wanted if wanted else 200 <= answer.status_code < 400, answer.text
    not_asked = _checks(*_ELSEWHERE)
    if operation.label in _REFUSES:
        not_asked += _checks("positive_data_acceptance")
    shown = operation.Case(path_parameters=real)
    shown.validate_response(answer, excluded_checks=not_asked)
    is_real = random.Random(1)

    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy())
    def send(case: Case[Any]) -> None:
        if is_real.random() < 0.5 and operation.method != "delete":
            case.path_parameters.update(real)
        if _PATIENCE in case.query:
            case.query[_PATIENCE] = 0
        case.validate_response(
            rig.send(case, right, another if has_parameters else rig.alice),
            excluded_checks=not_asked,
        )

    send()


def test_every_answer_is_one_that_the_document_tells_of(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        opened = open_world(tmp_path, operations=OperationSettings(wait_s=_ANSWER_LIMIT_S))
        world = runner.run(opened.__aenter__())
        try:
            alice = runner.run(customer(world, "alice"))
            runner.run(finished_task(world, alice, "of alice's"))
            rig = _Rig(runner, world, alice)
            document = rig.run(world.client().get("/openapi.json")).json()
            tried: set[str] = set()
            failed: list[str] = []
            for made in schemathesis.openapi.from_dict(document).get_all_operations():
                assert not isinstance(made, Err), made
                operation = made.ok()
                tried.add(operation.label)
                try:
                    _try(rig, operation)
                except (AssertionError, BaseExceptionGroup) as error:
                    failed.append(f"{operation.label}: {error}")
            assert not failed, "\n\n".join(failed)
            assert len(tried) == sum(len(methods) for methods in document["paths"].values()) >= 45
            assert tried >= _NOT_SHOWN.keys() | _REFUSES.keys()
        finally:
            runner.run(opened.__aexit__(None, None, None))
