"""The outermost layer of every request: its id, its last resort, its limit and security headers.

Plain ASGI, so that it costs microseconds and can stream.
"""

import itertools
import logging
import re
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..server.whole_exchanges import EXTENSION as WHOLE_ANSWER
from .errors import Forms, error_response, internal_error
from .job_socket import deny
from .request_ids import REQUEST_ID_STATE
from .request_limits import STANDING_STATE, Standing

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
# A client's own id is taken where it can do no harm in a log.
_CLIENTS_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}\Z")
# Of an answer that says nothing else: it is data of one client, no page, and for no cache.
_SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
# Messages with an answer's headers.
_BEGINNINGS = frozenset({"http.response.start", "websocket.http.response.start", WHOLE_ANSWER})
_HTTP_DENIAL = "websocket.http.response"


class Door:
    """Wraps an ASGI application.

    Args:
        forms: of errors, by path.
    """

    def __init__(self, app: ASGIApp, forms: Forms) -> None:
        self._app = app
        self._forms = forms
        # Which run of the process, then which request of it: no system call for each.
        self._life = secrets.token_hex(4)
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        state: dict[str, object] = scope.setdefault("state", {})
        state[REQUEST_ID_STATE] = request_id
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            kind = message["type"]
            if kind in _BEGINNINGS:
                started = True
                message = {**message, "headers": _complete(message["headers"], request_id, state)}
            elif kind == "websocket.accept":
                started = True
                named = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message.get("headers", ()), named]}
            elif kind == "websocket.close" and not started:
                # A path where no socket is: an answer that says so, where a bare 403 would come.
                started = True
                if _HTTP_DENIAL in scope.get("extensions", {}):
                    gone = error_response("NOT_FOUND", f"there is no WebSocket at {scope['path']}")
                    await deny(WebSocket(scope, receive, send_with_headers), gone, receive)
                    return
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            _log.debug("%s: the client left before its request was complete", request_id)
        # The boundary of one request: a bug in one must not close the others' connections.
        except Exception:
            method = scope.get("method", "WebSocket")
            _log.exception("%s: %s %s failed", request_id, method, scope["path"])
            if started or scope["type"] == "websocket":
                # Half an answer is out; closing the connection is the only way left to say so.
                raise
            failed = internal_error(request_id, self._forms.of(scope["path"]))
            await failed(scope, receive, send_with_headers)

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _CLIENTS_ID.match(value):
                return str(value, "ascii")
        return f"req_{self._life}{next(self._count):08x}"


def _complete(
    headers: list[tuple[bytes, bytes]], request_id: str, state: dict[str, object]
) -> list[tuple[bytes, bytes]]:
    """An answer's headers, with ours."""
    there = {name for name, _ in headers}
    complete = [*headers, (b"x-request-id", request_id.encode())]
    complete += [header for header in _SECURITY if header[0] not in there]
    standing = state.get(STANDING_STATE)
    if isinstance(standing, Standing):
        verdict = standing.shown()
        if verdict is not None:
            complete += verdict.headers()
    return complete
