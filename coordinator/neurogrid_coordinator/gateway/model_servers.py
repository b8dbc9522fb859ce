"""``/model-servers/v1/...``: the replicas of models, for the account that pays for them, as OpenAI's API without a model's own task.

It is the raw way to what `replicas.serving` has: the server's own answer, piece by piece. Everybody else's requests come by
`/v1`, and are paid by what is used.
"""

import asyncio
from typing import Any, Final

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from neurogrid_marketplace.first_byte import Work, WorkKind
from neurogrid_marketplace.model_catalogue import Model

from ..api.auth import Gate
from ..api.errors import answer
from ..api.paths import API
from ..replicas.asking import BODY_BYTES_MAX, Question
from ..replicas.serving import Asked, ModelServing, Served
from ..services.errors import (
    Forbidden,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    Refused,
    Unavailable,
)
from ..services.models import ModelSettings, find_model
from ..store.database import DatabaseClosed, Overloaded
from .answering import Answer as HasBegun
from .answering import until_one_ends
from .connection import ServiceBroken
from .door import while_good
from .exchange import ClientGone
from .headers import passed_back

MODEL_SERVERS_PATH: Final = f"{API}/model-servers"
# Requests of one conversation go to one replica where that can be.
SESSION_HEADER: Final = b"x-session-id"
_SESSION_CHARS_MAX: Final = 200
_STALL_LIMIT_S: Final = 60.0
# Our own server says these.
_SAID_HERE: Final = frozenset((b"date", b"server"))
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class ModelServers:
    """An ASGI application for everything below `MODEL_SERVERS_PATH`.

    Args:
        serving: None where no replicas are kept.
        stopping: set when the coordinator stops; every answer ends then.
    """

    def __init__(
        self,
        gate: Gate,
        serving: ModelServing | None,
        models: ModelSettings,
        stopping: asyncio.Event,
    ) -> None:
        self._gate = gate
        self._serving = serving
        self._models = models
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request to its end."""
        sent = HasBegun(send)
        refusal: Response
        try:
            caller = await self._gate.of_socket(HTTPConnection(scope))
            serving = self._serving
            if serving is None:
                raise NotFound("no replicas of models are kept here ([models] replicas)")
            if not serving.is_payer(caller.account):
                raise Forbidden(
                    "replicas are asked here by the account alone that pays for them; ask the model at /v1"
                )
            asked = await self._asked(scope, receive, caller.account.id)
            work = _pass_on(serving, asked, receive, sent)
            await while_good(self._gate, self._stopping, caller, work)
            return
        except (Refused, Overloaded, DatabaseClosed) as error:
            refusal = answer(error)
        except ServiceBroken as error:
            refusal = answer(Unavailable(str(error)))
        except ClientGone:
            raise ClientDisconnect from None
        if sent.has_begun:
            # The connection is closed, and so the client knows that this is not the whole.
            raise ClientDisconnect
        await refusal(scope, receive, send)

    async def _asked(self, scope: Scope, receive: Receive, tenant: str) -> Asked:
        body = await _body(receive)
        try:
            content = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidRequest(f"the body is no JSON object: {error}") from error
        name = content.get("model")
        if not isinstance(name, str):
            raise InvalidRequest("model: is missing", "model")
        model = find_model(self._models, name)
        path = scope["path"].partition(MODEL_SERVERS_PATH)[2]
        _require_route(model, path)
        headers = dict(scope["headers"])
        session = headers.get(SESSION_HEADER, b"")[:_SESSION_CHARS_MAX].decode("latin-1")
        body = msgspec.json.encode({**content, "model": model.name_at_server})
        return Asked(
            model_id=model.id,
            tenant=tenant,
            question=Question(
                scope["method"],
                path,
                (("content-type", "application/json"), ("accept", "*/*")),
                body,
            ),
            session=session,
            wait_s=self._models.wait_s,
            # How much it writes before, where it is no stream, nobody has read.
            work=Work(WorkKind.BEGIN, len(body)) if content.get("stream") is True else None,
        )


def model_servers_routes(servers: ModelServers) -> list[BaseRoute]:
    """Where it stands."""
    return [Route(f"{MODEL_SERVERS_PATH}/{{route:path}}", servers, methods=["POST"])]


def _require_route(model: Model, path: str) -> None:
    routes = model.server.routes if model.server is not None else ()
    if path not in routes:
        there = ", ".join(routes) or "none"
        raise NotFound(f"the server of {model.id} has no {path[:80]}; it has {there}")


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    more = True
    while more:
        try:
            async with asyncio.timeout(_STALL_LIMIT_S):
                message = await receive()
        except TimeoutError:
            raise ClientGone from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        more = bool(message.get("more_body", False))
        if len(body) > BODY_BYTES_MAX:
            raise PayloadTooLarge(BODY_BYTES_MAX)
    return bytes(body)


async def _pass_on(serving: ModelServing, asked: Asked, receive: Receive, send: Send) -> None:
    """Ask, and pass the answer on; ends when the client leaves."""
    doing = until_one_ends(_answer(serving, asked, send), _until_gone(receive))
    async with doing as (answering, _):
        if not answering.done():
            raise ClientGone
        answering.result()


async def _answer(serving: ModelServing, asked: Asked, send: Send) -> None:
    async with serving.ask(asked) as served:
        start = {
            "type": "http.response.start",
            "status": served.answer.status,
            "headers": _headers(served),
        }
        await _in_time(send(start))
        async for piece in served.pieces():
            await _in_time(send({"type": "http.response.body", "body": piece, "more_body": True}))
            served.meter.passed(piece)
        await served.meter.end()
        await _in_time(send({"type": "http.response.body", "body": b""}))


def _headers(served: Served) -> list[tuple[bytes, bytes]]:
    """The server's, as far as they may count here, and ours."""
    return [
        *(
            (name, value)
            for name, value in passed_back(served.answer.headers, prefix=MODEL_SERVERS_PATH)
            if name not in _SAID_HERE
        ),
        (b"x-neurogrid-task-id", served.task_id.encode()),
        (b"x-neurogrid-node-id", served.lease.node_id.encode()),
        (b"x-neurogrid-waited-ms", b"%d" % served.waited_ms),
        (b"x-neurogrid-tries", b"%d" % served.tries),
    ]


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _in_time(work: Any) -> None:
    try:
        async with asyncio.timeout(_STALL_LIMIT_S):
            await work
    except (TimeoutError, OSError):
        raise ClientGone from None
