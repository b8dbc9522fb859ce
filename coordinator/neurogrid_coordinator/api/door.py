"""The outermost layer of every HTTP request: its id, its last resort, its limit headers.

Plain ASGI, so that it costs microseconds and can stream.
"""

import itertools
import logging
import secrets

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import internal_error
from .rate_limit import Verdict

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-Id"
# Where the authentication leaves what the limiter said, for the headers.
VERDICT_STATE = "rate_limit_verdict"


class Door:
    """Wraps an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        # Which run of the process, then which request of it: no system call for each.
        self._life = secrets.token_hex(4)
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{self._life}{next(self._count):08x}"
        state: dict[str, object] = scope.setdefault("state", {})
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message["headers"], (b"x-request-id", request_id.encode())]
                verdict = state.get(VERDICT_STATE)
                if isinstance(verdict, Verdict):
                    headers += verdict.headers()
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            _log.debug("%s: the client left before its request was complete", request_id)
        # The boundary of one request: a bug in one must not close the others' connections.
        except Exception:
            _log.exception("%s: %s %s failed", request_id, scope["method"], scope["path"])
            if started:
                # Half an answer is out; closing the connection is the only way left to say so.
                raise
            await internal_error(request_id)(scope, receive, send_with_headers)
