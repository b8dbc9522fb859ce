"""What the leader answers other coordinators of its database, and its operator's commands, beside the api: JSON over POST, no
part of it.

They show a token that is made from the key that all of them have.
"""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.spreading import Barred
from neurogrid_wallet.keys import KeyPair

from ..market.errors import MarketAway
from ..replicas.serving import ModelServing
from ..services.nodes import Nodes
from ..services.tasks import could_serve

_PREFIX = "/between-coordinators/"
SERVABLE_PATH = f"{_PREFIX}servable"
READY_PATH = f"{_PREFIX}ready"
MODELS_PATH = f"{_PREFIX}models"
_QUESTION_BYTES_MAX = 1024 * 1024


class _WhetherReady(msgspec.Struct):
    node_id: str
    lease_id: str


def token_of(session: KeyPair) -> str:
    """What coordinators with this key show each other."""
    return session.derive(b"between coordinators").seed.hex()


class Leading:
    """An ASGI application: the api of who leads, and these answers.

    Args:
        explain: asks the market; raises `MarketAway`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str,
        explain: Callable[[Demand, Barred], Awaitable[Explanation]],
        nodes: Nodes,
        serving: ModelServing,
    ) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._explain = explain
        self._nodes = nodes
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            answer = await self._answer(Request(scope, receive))
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        shown = request.headers.get("authorization", "").encode()
        if request.method != "POST" or not hmac.compare_digest(shown, self._expected):
            return Response(status_code=404)
        data = bytearray()
        async for piece in request.stream():
            data += piece
            if len(data) > _QUESTION_BYTES_MAX:
                return Response(status_code=413)
        try:
            match request.url.path:
                case str(path) if path == SERVABLE_PATH:
                    return await self._servable(msgspec.json.decode(data, type=dict[str, Any]))
                case str(path) if path == READY_PATH:
                    asked = msgspec.json.decode(data, type=_WhetherReady)
                    ready = await self._nodes.is_ready(asked.node_id, asked.lease_id)
                    return JSONResponse({"ready": ready})
                case str(path) if path == MODELS_PATH:
                    return JSONResponse(msgspec.to_builtins(self._serving.status()))
        except (msgspec.DecodeError, MalformedMessage, KeyError):
            return Response(status_code=400)
        except MarketAway:
            return Response(status_code=503)
        return Response(status_code=404)

    async def _servable(self, question: dict[str, Any]) -> Response:
        demand = decode(Demand, question["demand"])
        explanation = await self._explain(demand, decode(Barred, question["places"]))
        if could_serve(explanation) < demand.seats and self._nodes.may_return(demand):
            # Nobody can, but who was here a moment ago could: no reason to refuse anything.
            raise MarketAway("a node that may return could serve it")
        return JSONResponse(plain(explanation))
