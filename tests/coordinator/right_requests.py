"""A request to each operation that is answered with success, about something real of its caller's.

Most follow from `route_access`; those that it lets be answered with an error, because there who may is all that
matters, are made here.
"""

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx

from coordinator.answering import RESULT, answering
from coordinator.api_world import OPERATION, TASK, Customer, World
from coordinator.computing import RESULT as COMPUTED
from coordinator.computing import computing
from coordinator.route_access import Operation, Who, access

_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"
_FILE = "application/octet-stream"
_CALLBACK = "https://app.example/"
_VERIFIER = "v" * 43
_OAUTH = "/oauth"
_MODELS = "/api/v1/models"
_RUNNER = "/runner/api/v1"
# Both a model's and an operation's.
_PREDICTED = json.dumps({**COMPUTED, **RESULT}).encode()
_PICTURE = json.dumps(
    {"image": "image.png", "width": 64, "height": 32, "steps": 3, "seed": 1, "execution_time_s": 1}
).encode()
_EMBEDDED = json.dumps({"embeddings": [[0.5, -0.25]], "usage": {"prompt_tokens": 1}}).encode()
_HEARD = json.dumps(
    {"text": "Hello", "language": "en", "confidence": 0.9, "segments": [], "execution_time_s": 1}
).encode()


@dataclass(frozen=True)
class Right:
    """See the module.

    Attributes:
        path: with its query.
        kind: the body's media type; "" of none.
        token: of the lease that may ask; "" for its caller's own key.
        computes: leaves an operation's result while it is asked.
        left: what a model's program leaves meanwhile; None: nobody answers for one. files: beside it.
    """

    path: str
    body: bytes = b""
    kind: str = ""
    token: str = ""
    computes: bool = False
    left: bytes | None = None
    files: dict[str, bytes] = field(default_factory=dict)


async def right_request(world: World, who: Customer, operation: Operation, text: str) -> Right:
    """The request, and what it is about, made; the text tells several apart."""
    known = (operation.method, operation.path)
    if known in _MADE:
        return await _MADE[known](world, who, text)
    spec = access(operation)
    thing = await spec.thing(world, who, text)
    path = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: thing.parameters[found[1]], operation.path)
    token = thing.token if spec.who is Who.NODE else ""
    if operation.method not in ("POST", "PUT", "PATCH"):
        return Right(path, token=token)
    if spec.body is not None:
        return Right(path, json.dumps(spec.body).encode(), _JSON, token)
    kind = _JSON if thing.body.startswith(b"{") else _FILE
    return Right(path, thing.body, kind if thing.body else "", token)


async def real_parameters(world: World, who: Customer, operation: Operation) -> dict[str, str]:
    """What its path names, of another thing than that of the request."""
    thing = await access(operation).thing(world, who, f"to be tried by {operation}")
    names = re.findall(r"\{(\w+)", operation.path)
    return {name: thing.parameters[name] for name in names}


async def send_right(
    world: World, who: Customer, operation: Operation, right: Right
) -> httpx.Response:
    """Its answer, to its caller, with the wallet's signature where that is wanted."""
    spec = access(operation)
    headers = {"Content-Type": right.kind} if right.kind else {}
    if spec.is_signed:
        headers |= who.signed(operation.method, right.path, right.body)
    if right.token:
        headers["Authorization"] = f"Bearer {right.token}"
    async with helping(world, right):
        return await who.http.request(
            operation.method, right.path, content=right.body or None, headers=headers
        )


@asynccontextmanager
async def helping(world: World, right: Right) -> AsyncIterator[None]:
    """Somebody computes or answers while this lasts, where the request waits for a result."""
    working = computing(world) if right.computes else nullcontext()
    if right.left is not None:
        working = answering(world, right.left, right.files)
    async with working:
        yield


# --- what is made here ------------------------------------------------------------------------

_Maker = Callable[[World, Customer, str], Awaitable[Right]]


def _waited(path: str, body: object, left: bytes | None = None, **files: bytes) -> _Maker:
    async def make(_world: World, _who: Customer, _text: str) -> Right:
        sent = json.dumps(body).encode()
        named = {name.replace("_", "."): data for name, data in files.items()}
        return Right(path, sent, _JSON, computes=left is None, left=left, files=named)

    return make


def _recording(path: str) -> _Maker:
    async def make(_world: World, _who: Customer, _text: str) -> Right:
        form = httpx.Request(
            "POST", "http://api", data={"model": "ear"}, files={"file": ("a.mp3", b"ID3 recording")}
        )
        return Right(path, form.read(), form.headers["content-type"], left=_HEARD)

    return make


async def _openai_file(_world: World, _who: Customer, _text: str) -> Right:
    form = httpx.Request(
        "POST", "http://api", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}")}
    )
    return Right("/v1/files", form.read(), form.headers["content-type"])


async def _sign_in(world: World, who: Customer, _text: str) -> Right:
    asked = {"wallet": who.account.wallet}
    answer = await world.client().post("/api/v1/auth/challenge", json=asked)
    message = answer.json()["data"]["message"]
    signature = base64.b64encode(who.wallet.sign(message.encode())).decode()
    body = json.dumps({"message": message, "signature": signature}).encode()
    return Right("/api/v1/auth/token", body, _JSON)


async def _application(who: Customer, text: str) -> dict[str, str]:
    body = {
        "name": text[:100],
        "scopes": ["read"],
        "redirect_uris": [_CALLBACK],
    }
    answer = await who.http.post("/api/v1/oauth/clients", json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()["data"]
    return {"client_id": made["client_id"], "client_secret": made["client_secret"]}


def _asked_for_leave(client_id: str) -> dict[str, str]:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(_VERIFIER.encode()).digest())
    return {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": _CALLBACK,
        "scope": "read",
        "state": "s",
        "code_challenge": challenge.decode().rstrip("="),
        "code_challenge_method": "S256",
    }


async def _leave_page(_world: World, who: Customer, text: str) -> Right:
    asked = _asked_for_leave((await _application(who, text))["client_id"])
    return Right(f"{_OAUTH}/authorize?{urlencode(asked)}")


async def _leave(_world: World, who: Customer, text: str) -> Right:
    asked = _asked_for_leave((await _application(who, text))["client_id"])
    form = {**asked, "action": "allow", "api_key": who.key}
    return Right(f"{_OAUTH}/authorize", urlencode(form).encode(), _FORM)


async def _token(_world: World, who: Customer, text: str) -> Right:
    return _token_of(await _application(who, text))


def _token_of(application: dict[str, str]) -> Right:
    form = {**application, "grant_type": "client_credentials"}
    return Right(f"{_OAUTH}/token", urlencode(form).encode(), _FORM)


def _about_a_token(path: str) -> _Maker:
    async def make(world: World, who: Customer, text: str) -> Right:
        application = await _application(who, text)
        asked = _token_of(application)
        headers = {"Content-Type": asked.kind}
        given = await world.client().post(asked.path, content=asked.body, headers=headers)
        form = {**application, "token": given.json()["access_token"]}
        return Right(f"{_OAUTH}/{path}", urlencode(form).encode(), _FORM)

    return make


async def _statuses(world: World, who: Customer, _text: str) -> Right:
    answer = await who.http.post("/api/v1/tasks", json=TASK)
    return Right(f"/api/tasks/statuses?ids={answer.json()['data']['id']}")


async def _runner_schedule(world: World, who: Customer, _text: str) -> Right:
    folder = world.uploads / who.account.id
    folder.mkdir(exist_ok=True)
    (folder / "one.csv").write_text("id,prompt\na,Write a haiku\n")
    body = {
        "name": "one",
        "schedule": "0 0 1 1 *",
        "inputFile": "/one.csv",
        "config": {"model": "talker"},
    }
    return Right(f"{_RUNNER}/scheduled-tasks", json.dumps(body).encode(), _JSON)


_MADE: dict[tuple[str, str], _Maker] = {
    ("POST", "/tasks"): _waited("/tasks", OPERATION),
    ("POST", "/ai/tasks"): _waited(
        "/ai/tasks", {"workflow_type": "model_inference", "prompt": "one"}, _PREDICTED
    ),
    ("POST", "/ai/insights"): _waited(
        "/ai/insights", {"metric_type": "errors", "timeframe": "5m"}, _PREDICTED
    ),
    ("POST", f"{_MODELS}/generate/text"): _waited(
        f"{_MODELS}/generate/text", {"model": "small", "prompt": "To be"}, _PREDICTED
    ),
    ("POST", f"{_MODELS}/generate/image"): _waited(
        f"{_MODELS}/generate/image",
        {"model": "makers/large", "prompt": "A castle"},
        _PICTURE,
        image_png=b"an image",
    ),
    ("POST", f"{_MODELS}/transcribe"): _recording(f"{_MODELS}/transcribe"),
    ("POST", "/v1/chat/completions"): _waited(
        "/v1/chat/completions",
        {"model": "small", "messages": [{"role": "user", "content": "To be"}]},
        _PREDICTED,
    ),
    ("POST", "/v1/completions"): _waited(
        "/v1/completions", {"model": "small", "prompt": "To be"}, _PREDICTED
    ),
    ("POST", "/v1/embeddings"): _waited(
        "/v1/embeddings", {"model": "vectors", "input": "one"}, _EMBEDDED
    ),
    ("POST", "/v1/images/generations"): _waited(
        "/v1/images/generations",
        {"model": "makers/large", "prompt": "A castle"},
        _PICTURE,
        image_png=b"an image",
    ),
    ("POST", "/v1/files"): _openai_file,
    ("POST", "/v1/audio/transcriptions"): _recording("/v1/audio/transcriptions"),
    ("POST", "/api/v1/auth/token"): _sign_in,
    ("GET", f"{_OAUTH}/authorize"): _leave_page,
    ("POST", f"{_OAUTH}/authorize"): _leave,
    ("POST", f"{_OAUTH}/token"): _token,
    ("POST", f"{_OAUTH}/revoke"): _about_a_token("revoke"),
    ("POST", f"{_OAUTH}/introspect"): _about_a_token("introspect"),
    ("GET", "/api/tasks/statuses"): _statuses,
    ("POST", f"{_RUNNER}/scheduled-tasks"): _runner_schedule,
}
