"""The web application: JSON-RPC by POST, PubSub by websocket, the status page by GET, all at ``/``."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from neurogrid_contracts.ledger import pages, rpc, status
from neurogrid_contracts.ledger.backend import Backend
from neurogrid_contracts.ledger.errors import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    NODE_UNHEALTHY,
    PARSE_ERROR,
    RpcError,
)
from neurogrid_contracts.ledger.faults import Fault, disturbance, is_our_own
from neurogrid_contracts.ledger.owner import Owner
from neurogrid_contracts.ledger.params import pubkey, signature
from neurogrid_contracts.ledger.pubsub import Hub
from neurogrid_contracts.ledger.websocket import Connection

# As on a real node: what fits here fits there.
BODY_BYTES_MAX = 50 * 1024
BATCH_REQUESTS_MAX = 256

# Wallets in browsers call a ledger from any page; it holds test money only.
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-headers": "*",
    "access-control-allow-methods": "POST, GET, OPTIONS",
}
# Whatever a memo says: nothing on a page runs, and nothing is loaded from elsewhere.
_PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
# Base58 of 32 bytes; a signature, of 64, is longer.
_ADDRESS_CHARS_MAX = 44
# Where ``Protocol`` leaves the connection of a request.
_TRANSPORT = "neurogrid.transport"


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, with a way to hang up on a request instead of answering it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[_TRANSPORT] = self.transport  # type: ignore[literal-required] # our own key


class _Hangup(Response):
    """Closes the connection without a word."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_TRANSPORT].close()
        while (await receive())["type"] != "http.disconnect":
            pass  # until then uvicorn would still say that it has no answer


def build_app(backend: Backend, owner: Owner, hub: Hub) -> Starlette:
    """The application for ``backend``; it must be served with ``Protocol``."""

    async def respond(request: object) -> rpc.Response:
        return await disturbed(request, None)

    async def disturbed(request: object, fault: Fault | None) -> rpc.Response:
        try:
            if fault is Fault.UNHEALTHY:
                raise RpcError(NODE_UNHEALTHY, "Node is unhealthy")
            return await owner.call(answer, request, fault)
        except RpcError as error:
            request_id = request.get("id") if isinstance(request, dict) else None
            return rpc.error_response(error, request_id)

    def answer(request: object, fault: Fault | None) -> rpc.Response:
        """Runs on the owner thread."""
        if fault is None or is_our_own(_method(request)):
            return rpc.respond(backend, request)
        with backend.ledger.disturbed(disturbance(fault, backend.faults.plan)):
            return rpc.respond(backend, request)

    async def post(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return PlainTextResponse("request body too large", 413, _CORS)
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return _json(rpc.error_response(RpcError(PARSE_ERROR, "Parse error")))
        batch = parsed if isinstance(parsed, list) else [parsed]
        if not batch or len(batch) > BATCH_REQUESTS_MAX:
            problem = f"a batch holds 1 to {BATCH_REQUESTS_MAX} requests"
            return _json(rpc.error_response(RpcError(INVALID_REQUEST, problem)))
        fault = backend.faults.strike([_method(one) for one in batch])
        match fault:
            case Fault.DROP:
                return _Hangup()
            case Fault.RATE_LIMIT:
                return _rate_limited()
            case Fault.UNAVAILABLE:
                return PlainTextResponse("Service Unavailable", 503, _CORS)
            case Fault.DELAY:
                await asyncio.sleep(backend.faults.plan.delay_ms / 1000)
        answers = [await disturbed(one, fault) for one in batch]
        if fault is Fault.LOSE_REPLY:
            return _Hangup()
        return _json(answers if isinstance(parsed, list) else answers[0])

    async def preflight(request: Request) -> Response:
        return Response(headers=_CORS)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok", headers=_CORS)

    async def show_overview(request: Request) -> Response:
        view = await owner.call(status.overview, backend)
        return _html(pages.overview_page(view, follow="follow" in request.query_params))

    async def show_transaction(request: Request) -> Response:
        wanted = signature(request.path_params["signature"], "signature")
        listed = await owner.call(status.transaction, backend, wanted)
        if listed is None:
            return _html(pages.missing_page("This ledger holds no such transaction."), 404)
        return _html(pages.transaction_page(listed, status.names(backend)))

    async def show_address(request: Request) -> Response:
        wanted = pubkey(request.path_params["address"], "address")
        view = await owner.call(status.address, backend, wanted)
        return _html(pages.address_page(view, status.names(backend)))

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, RpcError)
        status_code = 404 if error.code == INVALID_PARAMS else 503
        return _html(pages.missing_page(error.message), status_code)

    async def find(request: Request) -> Response:
        wanted = request.query_params.get("q", "").strip()
        kind = "address" if len(wanted) <= _ADDRESS_CHARS_MAX else "tx"
        return RedirectResponse(f"/{kind}/{quote(wanted, safe='')}", 303)

    async def style(request: Request) -> Response:
        return Response(pages.STYLE, media_type="text/css", headers=_PAGE_HEADERS)

    async def websocket(connection: WebSocket) -> None:
        await Connection(connection, hub, owner, backend.ledger, respond).serve()

    return Starlette(
        routes=[
            Route("/", post, methods=["POST"]),
            Route("/", preflight, methods=["OPTIONS"]),
            Route("/health", health, methods=["GET"]),
            Route("/", show_overview, methods=["GET"]),
            Route("/tx/{signature}", show_transaction, methods=["GET"]),
            Route("/address/{address}", show_address, methods=["GET"]),
            Route("/find", find, methods=["GET"]),
            Route("/status.css", style, methods=["GET"]),
            WebSocketRoute("/", websocket),
        ],
        exception_handlers={RpcError: refuse},
    )


def _method(request: object) -> str:
    method = request.get("method") if isinstance(request, Mapping) else None
    return method if isinstance(method, str) else ""


def _rate_limited() -> Response:
    """As the public endpoints answer."""
    body = rpc.error_response(RpcError(429, "Too many requests for a specific RPC call"))
    response = _json(body)
    response.status_code = 429
    response.headers["retry-after"] = "1"
    return response


async def _read_body(request: Request) -> bytes | None:
    """The body, or None when it is longer than allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            return None
    return bytes(body)


def _html(page: str, status_code: int = 200) -> Response:
    return HTMLResponse(page, status_code, _PAGE_HEADERS)


def _json(body: Any) -> Response:
    text = json.dumps(body, separators=(",", ":"))
    return Response(text, media_type="application/json", headers=_CORS)
