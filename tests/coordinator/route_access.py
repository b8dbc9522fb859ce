"""Who may call which route: of each route only what neither the route nor its path says.

A route that is not named here wants a client's key with the scope of its method, is about what `THINGS` says of the
first of its path's parameters, and answers with 2xx. So a new route needs no line as long as that holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from starlette.routing import BaseRoute, Route, WebSocketRoute

from coordinator.api_world import OPERATION, TASK
from coordinator.owned_things import (
    Maker,
    allowed_application,
    api_key,
    application,
    artifact,
    batch,
    bolt_batch,
    bolt_request,
    challenge,
    checkpoint_file,
    emptied,
    ended_batch,
    failure,
    finished_task,
    invoice,
    linked_file,
    mailbox,
    model,
    named_task,
    new_file,
    node,
    nothing,
    openai_batch,
    openai_batch_request,
    openai_file,
    page,
    part,
    provider,
    resource,
    running_task,
    schedule,
    sealed_task,
    server_route,
    staked,
    transfer,
    unclaimed_lease,
    waiting_task,
    webhook,
    webhook_url,
    workflow,
)
from coordinator.records import node_id
from neurogrid_coordinator.store.accounts import CLIENT_ROLE, OPERATOR_ROLE, PROVIDER_ROLE

# A parameter of paths -> how what it names is made, so that it is somebody's; and whether it is only
# theirs. What another parameter of the same path names comes with it.
THINGS: dict[str, tuple[Maker, bool]] = {
    "task_id": (finished_task, True),
    "workflow_id": (workflow, True),
    "batch_id": (batch, True),
    "own_id": (named_task, True),
    "schedule_id": (schedule, True),
    "sha256": (artifact, True),
    "key_id": (api_key, True),
    "webhook_id": (webhook, True),
    "transfer_id": (transfer, True),
    "lease_id": (unclaimed_lease, True),
    "invoice_id": (invoice, True),
    "node_id": (node, False),
    "mailbox_id": (mailbox, True),
    "resource_id": (resource, True),
    "provider_id": (provider, False),
    "challenge_id": (challenge, False),
    "client_id": (application, True),
    "grant_id": (allowed_application, True),
    "error_id": (failure, True),
    "service": (part, False),
    "file_id": (openai_file, True),
    "openai_batch_id": (openai_batch, True),
    "model_id": (model, False),
    "route": (server_route, False),
    "word": (linked_file, False),
    "page": (page, False),
}

# What others hear about it, where that is not NOT_FOUND.
MISSING = {
    "batch_id": "BATCH_NOT_FOUND",
    "model_id": "MODEL_UNAVAILABLE",
    "openai_batch_id": "BATCH_NOT_FOUND",
    "own_id": "TASK_NOT_FOUND",
    "schedule_id": "SCHEDULED_TASK_NOT_FOUND",
}

WEBSOCKET = "WS"
# Routes that take any method are asked with these.
_ANY_METHOD = ("GET", "POST")
_READING = frozenset({"GET", "HEAD"})


class Who(Enum):
    """Who is let in."""

    ANYBODY = "anybody"
    KEY = "a key with"
    NODE = "a node, with its lease's token"


@dataclass(frozen=True)
class Operation:
    """A method of a route, or `WEBSOCKET`."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Access:
    """What holds of an operation.

    Attributes:
        thing: what is made for it.
        is_owned: the thing is its owner's alone.
        role: that the caller acts as; "" for any.
        missing: the code that others hear about it.
        is_signed: by the wallet, whatever the account has set.
        right: the answer to who may; None for any of 2xx.
        other_lease: the answer to the token of another lease of the same account.
        body: what is sent as JSON; None for what comes with the thing.
        queries: with each it is asked once; they lead to other code.
    """

    who: Who = Who.KEY
    thing: Maker = nothing
    is_owned: bool = False
    missing: str = "NOT_FOUND"
    scope: str = ""
    role: str = CLIENT_ROLE
    is_signed: bool = False
    right: int | None = None
    other_lease: int = 401
    body: object = None
    queries: tuple[str, ...] = ("",)


# What cannot be derived.
_PUBLIC: dict[str, object] = {"who": Who.ANYBODY}
_ANY_ROLE: dict[str, object] = {"role": ""}
_PROVIDERS: dict[str, object] = {"role": PROVIDER_ROLE}
_MOVES_PROVIDERS_MONEY: dict[str, object] = {"is_signed": True, **_PROVIDERS}
_UPGRADE: dict[str, object] = {"thing": running_task, "right": 426}
# There are no jobs behind these tasks (tests/coordinator/test_gateway.py has real ones): whoever is let in
# hears that the market is away.
_SERVICE: dict[str, object] = {"thing": running_task, "right": 503, "scope": "write"}
_NODES_FILE: dict[str, object] = {"who": Who.NODE, "thing": checkpoint_file, "other_lease": 404}
_API = "/api/v1"
_RUNNER = "/runner/api/v1"
SCHEDULE = {"name": "one", "schedule": "0 0 1 1 *", "task": TASK}
_TASK = f"{_API}/tasks/{{task_id}}"
_SERVICES = f"{_API}/services/{{task_id}}"
_MODEL_SERVERS = f"{_API}/model-servers/{{route:path}}"
_KEYS = f"{_API}/api-keys"
_MAILBOXES = f"{_API}/provider/mailboxes"
_FILE = f"{_API}/artifacts/{{sha256}}"
_WEBHOOKS = f"{_API}/webhooks"
SPECIAL: dict[tuple[str, str], dict[str, object]] = {
    ("GET", "/health"): _PUBLIC,
    ("GET", "/"): _PUBLIC,
    ("GET", "/metrics"): _PUBLIC,
    # Nobody runs it here: whoever is let in hears that it did not end in time.
    ("POST", "/tasks"): {"body": OPERATION, "right": 503},
    ("POST", "/ai/tasks"): {
        "body": {"workflow_type": "model_inference", "prompt": "one"},
        "right": 503,
    },
    ("POST", "/ai/insights"): {
        "body": {"metric_type": "errors", "timeframe": "5m"},
        "right": 503,
    },
    ("GET", "/docs"): _PUBLIC,
    ("GET", "/dashboard"): _PUBLIC,
    ("GET", "/dashboard/{page:path}"): _PUBLIC,
    ("GET", "/openapi.json"): _PUBLIC,
    ("HEAD", "/openapi.json"): _PUBLIC,
    ("GET", f"{_API}/status"): _PUBLIC,
    ("GET", f"{_API}/verification/commitments"): _PUBLIC,
    # Whoever has the link has what it opens.
    ("GET", f"{_API}/links/{{word}}"): _PUBLIC,
    ("HEAD", f"{_API}/links/{{word}}"): _PUBLIC,
    ("GET", f"{_API}/nodes/{{node_id}}/evidence"): _PUBLIC,
    ("GET", f"{_API}/challenges/{{challenge_id}}/evidence"): _PUBLIC,
    ("POST", f"{_API}/tasks"): {"body": TASK},
    ("POST", f"{_TASK}/execute"): {"body": {"name": "once more"}},
    ("PATCH", _TASK): {"thing": waiting_task, "body": {"priority": "low"}},
    ("POST", f"{_API}/workflows"): {"body": {"name": "one", "tasks": {"only": TASK}}},
    ("POST", f"{_API}/batches"): {"body": {"name": "one", "tasks": [TASK]}},
    ("POST", f"{_API}/batches/{{batch_id}}/retry"): {"thing": ended_batch},
    ("GET", f"{_API}/batches/{{batch_id}}/results"): {"queries": ("", "?format=jsonl")},
    ("POST", f"{_API}/scheduled-tasks"): {"body": SCHEDULE},
    ("POST", f"{_API}/scheduled-tasks/preview"): {"body": SCHEDULE},
    ("POST", f"{_API}/match/explain"): {"body": TASK},
    ("POST", f"{_API}/match/estimate"): {"body": TASK},
    ("POST", _KEYS): {
        "scope": "keys",
        "body": {"name": "one more", "scopes": ["read"]},
        **_ANY_ROLE,
    },
    ("GET", f"{_API}/operator/accounts"): {"role": OPERATOR_ROLE},
    ("GET", f"{_API}/account"): _ANY_ROLE,
    ("PATCH", f"{_API}/account"): {
        "scope": "keys",
        "is_signed": True,
        "body": {"signs_writes": False},
        **_ANY_ROLE,
    },
    ("POST", f"{_API}/auth/challenge"): {
        **_PUBLIC,
        "body": {"wallet": "5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG"},
    },
    # Who asks at these is an application, by its own secret, in a form.
    ("GET", "/.well-known/oauth-authorization-server"): _PUBLIC,
    ("GET", "/oauth/authorize"): {**_PUBLIC, "right": 400},
    ("POST", "/oauth/authorize"): {**_PUBLIC, "right": 400},
    ("POST", "/oauth/token"): {**_PUBLIC, "right": 400},
    ("POST", "/oauth/revoke"): {**_PUBLIC, "right": 400},
    ("POST", "/oauth/introspect"): {**_PUBLIC, "right": 400},
    ("POST", f"{_API}/oauth/clients"): {
        "scope": "keys",
        "body": {"name": "one", "scopes": ["read"]},
        **_ANY_ROLE,
    },
    ("GET", f"{_API}/oauth/clients"): {"scope": "keys", **_ANY_ROLE},
    ("GET", f"{_API}/oauth/clients/{{client_id}}"): {"scope": "keys", **_ANY_ROLE},
    ("DELETE", f"{_API}/oauth/clients/{{client_id}}"): {"scope": "keys", **_ANY_ROLE},
    ("POST", f"{_API}/oauth/clients/{{client_id}}/rotate-secret"): {
        "scope": "keys",
        **_ANY_ROLE,
    },
    ("GET", f"{_API}/oauth/grants"): {"scope": "keys", **_ANY_ROLE},
    ("DELETE", f"{_API}/oauth/grants/{{grant_id}}"): {"scope": "keys", **_ANY_ROLE},
    # Who signs is told by the body alone.
    ("POST", f"{_API}/auth/token"): {
        **_PUBLIC,
        "body": {"message": "not of ours", "signature": ""},
        "right": 422,
    },
    ("PUT", f"{_API}/account/limits"): {"body": {}},
    ("GET", f"{_API}/status/services/{{service}}"): _PUBLIC,
    ("GET", f"{_API}/audit/logs"): _ANY_ROLE,
    ("GET", f"{_API}/operator/audit/logs"): {"role": OPERATOR_ROLE},
    ("GET", f"{_API}/errors"): _ANY_ROLE,
    ("GET", f"{_API}/errors/{{error_id}}"): _ANY_ROLE,
    ("PATCH", f"{_API}/errors/{{error_id}}"): {"body": {"resolution": "Mended."}, **_ANY_ROLE},
    ("GET", f"{_API}/operator/errors"): {"role": OPERATOR_ROLE},
    ("GET", f"{_API}/operator/errors/{{error_id}}"): {"is_owned": False, "role": OPERATOR_ROLE},
    ("PATCH", f"{_API}/operator/errors/{{error_id}}"): {
        "body": {"resolution": "Mended."},
        "is_owned": False,
        "role": OPERATOR_ROLE,
    },
    ("GET", f"{_API}/analytics/stats"): _ANY_ROLE,
    ("GET", f"{_API}/analytics/performance"): _ANY_ROLE,
    ("GET", f"{_API}/nodes"): _ANY_ROLE,
    ("GET", f"{_API}/nodes/{{node_id}}"): _ANY_ROLE,
    ("GET", f"{_API}/nodes/{{node_id}}/reputation"): _ANY_ROLE,
    ("GET", f"{_API}/providers"): _ANY_ROLE,
    ("GET", f"{_API}/providers/{{provider_id}}"): _ANY_ROLE,
    ("GET", f"{_API}/constraints"): _ANY_ROLE,
    ("GET", f"{_API}/models"): _ANY_ROLE,
    # Nobody answers here.
    ("POST", f"{_API}/models/generate/text"): {
        "body": {"model": "small", "prompt": "To be"},
        "right": 503,
    },
    ("POST", f"{_API}/models/generate/image"): {
        "body": {"model": "makers/large", "prompt": "A castle"},
        "right": 503,
    },
    # A form, not JSON.
    ("POST", f"{_API}/models/transcribe"): {"right": 422},
    ("GET", f"{_API}/models/{{model_id:path}}"): _ANY_ROLE,
    ("GET", "/v1/models"): _ANY_ROLE,
    ("GET", "/v1/models/{model_id:path}"): _ANY_ROLE,
    ("POST", "/v1/chat/completions"): {
        "body": {"model": "small", "messages": [{"role": "user", "content": "To be"}]},
        "right": 503,
    },
    ("POST", "/v1/completions"): {"body": {"model": "small", "prompt": "To be"}, "right": 503},
    ("POST", "/v1/embeddings"): {"body": {"model": "vectors", "input": "one"}, "right": 503},
    ("POST", "/v1/images/generations"): {
        "body": {"model": "makers/large", "prompt": "A castle"},
        "right": 503,
    },
    # Forms, not JSON; nobody translates.
    ("POST", "/v1/audio/transcriptions"): {"right": 400},
    ("POST", "/v1/audio/translations"): {"right": 400},
    ("POST", "/v1/files"): {"right": 400},
    ("POST", "/v1/batches"): {"thing": openai_batch_request, "is_owned": False},
    ("GET", f"{_API}/market/prices"): _ANY_ROLE,
    ("GET", _KEYS): {"scope": "keys", **_ANY_ROLE},
    # Of another key than the one that asks.
    ("GET", f"{_KEYS}/{{key_id}}"): {"scope": "keys", **_ANY_ROLE},
    ("DELETE", f"{_KEYS}/{{key_id}}"): {"scope": "keys", **_ANY_ROLE},
    ("POST", f"{_KEYS}/{{key_id}}/rotate"): {
        "scope": "keys",
        "body": {"grace_seconds": 60},
        **_ANY_ROLE,
    },
    ("POST", _WEBHOOKS): {
        "thing": webhook,
        "is_owned": False,
        "body": {"url": "https://hooks.example.org/", "events": ["task.completed"]},
    },
    ("PATCH", f"{_WEBHOOKS}/{{webhook_id}}"): {"body": {"description": "another"}},
    ("POST", f"{_WEBHOOKS}/{{webhook_id}}/rotate-secret"): {"body": {}},
    ("POST", f"{_WEBHOOKS}/{{webhook_id}}/test"): {"body": {}},
    ("GET", f"{_API}/analytics/gpus"): _ANY_ROLE,
    ("GET", "/api/resources/gpu"): _ANY_ROLE,
    # Names no task; who may hears that.
    ("GET", "/api/tasks/statuses"): {"right": 422},
    ("GET", "/api/audit/logs"): _ANY_ROLE,
    ("GET", "/api/errors/log"): _ANY_ROLE,
    ("POST", "/api/keys/generate"): {
        "scope": "keys",
        "body": {"name": "one more", "permissions": ["read"]},
        **_ANY_ROLE,
    },
    ("POST", "/api/webhooks/configure"): {"thing": webhook_url, "is_owned": False},
    ("POST", "/api/task"): {"thing": bolt_request, "is_owned": False},
    ("POST", "/api/tasks/batch"): {"thing": bolt_batch, "is_owned": False},
    ("POST", f"{_API}/wallet/deposits"): {"body": {"amount": "1.00"}},
    ("POST", f"{_API}/wallet/withdrawals"): {"body": {"amount": "1.00"}},
    ("POST", f"{_API}/wallet/operator"): {"body": {"limit": "1.00"}},
    ("GET", f"{_API}/wallet/transfers"): _ANY_ROLE,
    ("GET", f"{_API}/wallet/transfers/{{transfer_id}}"): _ANY_ROLE,
    ("POST", f"{_API}/wallet/transfers/{{transfer_id}}/submit"): _ANY_ROLE,
    ("GET", f"{_API}/provider/earnings"): _PROVIDERS,
    ("GET", f"{_API}/provider/earnings/jobs"): {
        "queries": ("", "?status=open"),
        **_PROVIDERS,
    },
    ("POST", f"{_API}/provider/earnings/{{lease_id}}/claim"): _MOVES_PROVIDERS_MONEY,
    ("GET", f"{_API}/provider/payouts"): _PROVIDERS,
    ("POST", f"{_API}/provider/payouts"): {
        "body": {
            "amount": "1.00",
            "wallet_address": "5ZWj7a1f8tWkjBESHKgrLmXshuXxqeY9SYcfbshpAqPG",
        },
        **_MOVES_PROVIDERS_MONEY,
    },
    ("GET", f"{_API}/provider/resources"): _PROVIDERS,
    ("GET", f"{_API}/provider/resources/{{resource_id}}"): _PROVIDERS,
    ("GET", f"{_API}/provider/tasks"): _PROVIDERS,
    ("POST", _MAILBOXES): {"body": {"node_id": node_id("a box")}, **_PROVIDERS},
    ("GET", f"{_MAILBOXES}/{{mailbox_id}}/messages"): _PROVIDERS,
    ("POST", f"{_MAILBOXES}/{{mailbox_id}}/messages"): _PROVIDERS,
    ("POST", f"{_MAILBOXES}/{{mailbox_id}}/streams"): _PROVIDERS,
    ("DELETE", f"{_MAILBOXES}/{{mailbox_id}}"): _PROVIDERS,
    ("GET", f"{_API}/provider/stake"): _PROVIDERS,
    ("POST", f"{_API}/provider/stake"): {"body": {"amount": "1.00"}, **_MOVES_PROVIDERS_MONEY},
    ("POST", f"{_API}/provider/stake/unstake"): {
        "thing": staked,
        "body": {"amount": "1.00"},
        **_MOVES_PROVIDERS_MONEY,
    },
    ("POST", f"{_API}/provider/stake/withdraw"): {"thing": staked, **_MOVES_PROVIDERS_MONEY},
    ("POST", f"{_API}/provider/stake/rebond"): {
        "thing": staked,
        "body": {"amount": "1.00"},
        **_MOVES_PROVIDERS_MONEY,
    },
    ("POST", f"{_API}/provider/stake/close"): {"thing": emptied, **_MOVES_PROVIDERS_MONEY},
    ("POST", f"{_API}/billing/credits"): {"body": {"amount": 1, "payment_method": "usdc"}},
    ("GET", f"{_API}/billing/history"): {"queries": ("", "?format=csv")},
    ("GET", f"{_TASK}/logs"): {"queries": ("", "?follow=true", "?offset=0")},
    ("GET", f"{_TASK}/key"): {"thing": sealed_task},
    ("POST", f"{_TASK}/key"): {"thing": sealed_task},
    ("GET", f"{_TASK}/checkpoints"): {"thing": running_task},
    ("GET", f"{_TASK}/checkpoints/{{sequence}}"): {"thing": running_task},
    ("GET", f"{_TASK}/checkpoints/{{sequence}}/files/{{path:path}}"): {"thing": running_task},
    ("GET", f"{_TASK}/exec"): _UPGRADE,
    ("GET", f"{_TASK}/port"): _UPGRADE,
    (WEBSOCKET, f"{_TASK}/exec"): {"thing": running_task},
    (WEBSOCKET, f"{_TASK}/port"): {"thing": running_task},
    # Sends everybody to the same path with a slash, whether there is such a task or not.
    ("GET", _SERVICES): {**_PUBLIC, "thing": running_task, "is_owned": False, "right": 308},
    ("POST", _SERVICES): {**_PUBLIC, "thing": running_task, "is_owned": False, "right": 308},
    ("GET", f"{_SERVICES}/{{path:path}}"): _SERVICE,
    ("POST", f"{_SERVICES}/{{path:path}}"): _SERVICE,
    (WEBSOCKET, _SERVICES): _SERVICE,
    (WEBSOCKET, f"{_SERVICES}/{{path:path}}"): _SERVICE,
    # No replicas are kept here, which whoever is let in hears (tests/coordinator/test_model_servers.py has some).
    ("POST", _MODEL_SERVERS): {"right": 404},
    ("GET", _FILE): {"other_lease": 404},
    ("HEAD", _FILE): {"other_lease": 404},
    # A hash names what its sender makes, not what is there.
    ("PUT", _FILE): {"thing": new_file, "is_owned": False, "other_lease": 201},
    ("GET", f"{_FILE}/checkpoint"): _NODES_FILE,
    ("HEAD", f"{_FILE}/checkpoint"): _NODES_FILE,
    ("PUT", f"{_FILE}/checkpoint"): {**_NODES_FILE, "is_owned": False, "other_lease": 201},
    ("POST", f"{_RUNNER}/tasks"): {"body": {"prompt": "one", "model": "talker"}},
    ("POST", f"{_RUNNER}/batches"): {
        "body": {"name": "one", "tasks": [{"prompt": "one", "model": "talker"}]}
    },
    # It names a file that nobody has put there.
    ("POST", f"{_RUNNER}/scheduled-tasks"): {
        "body": {"name": "one", "schedule": "0 0 1 1 *", "inputFile": "no.csv"},
        "right": 400,
    },
    ("GET", f"{_RUNNER}/status"): _PUBLIC,
    ("GET", f"{_RUNNER}/status/services/{{service}}"): _PUBLIC,
    # Reads: the account's events.
    (WEBSOCKET, "/ws"): {"scope": "read", **_ANY_ROLE},
}


def operations(routes: Iterable[BaseRoute]) -> list[Operation]:
    """Every method of every route, in their order.

    Raises:
        AssertionError: a route is of a kind that this does not know.
    """
    found: list[Operation] = []
    for route in routes:
        if isinstance(route, WebSocketRoute):
            found.append(Operation(WEBSOCKET, route.path))
            continue
        assert isinstance(route, Route), (
            f"{route!r} is neither a route nor a WebSocket's: teach `operations` what may be asked of it"
        )
        methods = _ANY_METHOD if route.methods is None else sorted(route.methods)
        found += [Operation(method, route.path) for method in methods]
    return found


def parameters(path: str) -> list[str]:
    """The names of a path's parameters."""
    return [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]


def access(operation: Operation) -> Access:
    """What holds of this operation.

    Raises:
        AssertionError: nobody has said how the thing is made that its path names.
    """
    names = parameters(operation.path)
    thing: tuple[Maker, bool] = (nothing, False)
    if names:
        assert names[0] in THINGS, (
            f"{operation}: say in route_access.THINGS how a {names[0]} of somebody's is made"
        )
        thing = THINGS[names[0]]
    derived: dict[str, object] = {
        "thing": thing[0],
        "is_owned": thing[1],
        "missing": MISSING.get(names[0], "NOT_FOUND") if names else "NOT_FOUND",
        "scope": "read" if operation.method in _READING else "write",
    }
    special = SPECIAL.get((operation.method, operation.path), {})
    return Access(**{**derived, **special})  # type: ignore[arg-type]  # a table of its fields
