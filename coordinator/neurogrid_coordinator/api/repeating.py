"""``Idempotency-Key`` for every route that does not keep the key with what it makes.

The same request again hears the same answer, with `Idempotent-Replayed: true`; another one with the key is refused.
The key is claimed in the transaction of the request's effect (`store.repeats`), its answer is kept before it is sent.
"""

import base64
import contextlib
import hashlib
import time
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..server.whole_exchanges import in_parts
from ..services.errors import Conflict, IdempotencyMismatch
from ..store import repeats
from ..store.database import Database, DatabaseClosed, Overloaded
from ..store.repeats import Kept, Repeat, Taken
from .body import JSON_BYTES_MAX, read_body, sha256_of_body
from .errors import Forms, answer
from .idempotency import idempotency_key

_METHODS = frozenset({"POST", "PATCH"})
# A longer answer is not kept: its request is known to have been carried out, and no more.
_ANSWER_BYTES_MAX = 64 * 1024
_KEPT_HEADERS = frozenset({"content-type", "location"})


class Replayed(Exception):
    """The request was carried out before; this is what it was answered."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: list[tuple[str, str]]
    body: str


async def expect(
    connection: HTTPConnection, database: Database, account_id: str, kept_ms: int
) -> None:
    """Have this request claim its idempotency key with its first change, if it brings one.

    Args:
        kept_ms: for how long it is answered as before.

    Raises:
        Replayed: it was carried out before.
        InvalidRequest, IdempotencyMismatch, Conflict: the key can't be used for it.
    """
    if not isinstance(connection, Request) or connection.method not in _METHODS:
        return
    key = idempotency_key(connection, keeps_it=False)
    if key is None:
        return
    since_ms = time.time_ns() // 1_000_000 - kept_ms
    kept = await database.read_briefly(repeats.find, account_id, key, since_ms)
    if kept is not None:
        await read_body(connection, JSON_BYTES_MAX)
        raise Replayed(_replay(kept, key, _digest(connection)))
    repeats.expect(Repeat(account_id, key, lambda: _digest(connection), kept_ms))


def _replay(kept: Kept, key: str, digest: str) -> Response:
    if kept.request_sha256 != digest:
        raise IdempotencyMismatch(f"the idempotency key {key!r} was used for another request")
    if not kept.answer_json:
        raise Conflict(
            f"the request with the idempotency key {key!r} is being carried out, or was: its answer is not kept "
            "(it held a secret, was long, or the coordinator stopped). Look at what it was about before you "
            "send it with another key"
        )
    told = msgspec.json.decode(kept.answer_json, type=_Answer)
    headers = dict(told.headers) | {"Idempotent-Replayed": "true"}
    return Response(base64.b64decode(told.body), told.status, headers=headers)


def _digest(request: Request) -> str:
    """Of all that says what is asked for. The body is read before anything is changed by it."""
    body = sha256_of_body(request)
    text = f"{request.method}\n{request.url.path}?{request.url.query}\n{body}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def repeats_layer(database: Database, forms: Forms) -> Callable[[ASGIApp], ASGIApp]:
    """The layer that keeps answers."""

    def layer(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] not in _METHODS:
                await app(scope, receive, send)
                return
            held: list[Message] = []

            async def send_when_kept(message: Message) -> None:
                repeat = repeats.present()
                if repeat is None or not repeat.claimed:
                    await send(message)
                    return
                held.extend(in_parts(message))
                last = held[-1]
                if last["type"] == "http.response.body" and not last.get("more_body"):
                    await _keep(database, repeat, held)
                elif sum(len(m.get("body", b"")) for m in held) <= _ANSWER_BYTES_MAX:
                    return
                for each in held:
                    await send(each)
                held.clear()

            with repeats.Scene():
                try:
                    await app(scope, receive, send_when_kept)
                except Replayed as replayed:
                    await replayed.response(scope, receive, send)
                except Taken:
                    busy = Conflict("a request with this idempotency key is being carried out")
                    await answer(busy, forms.of(scope["path"]))(scope, receive, send)

        return serve

    return layer


async def _keep(database: Database, repeat: Repeat, messages: list[Message]) -> None:
    """Keep a whole answer, unless it holds a secret or says that the request failed on our side."""
    start = messages[0]
    if start["type"] != "http.response.start":
        return
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
    ]
    if ("cache-control", "no-store") in headers or start[
        "status"
    ] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return
    body = b"".join(message.get("body", b"") for message in messages[1:])
    if len(body) > _ANSWER_BYTES_MAX:
        return
    told = _Answer(
        start["status"],
        [header for header in headers if header[0] in _KEPT_HEADERS],
        base64.b64encode(body).decode(),
    )
    text = msgspec.json.encode(told).decode()
    # Its effect is there: an answer that can't be kept is still the answer.
    with contextlib.suppress(Overloaded, DatabaseClosed):
        await database.write(repeats.keep, repeat.account_id, repeat.key, text)
