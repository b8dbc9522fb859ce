"""HEAD on every route that answers GET: what GET would be answered, without the body. Plain ASGI.

A route that answers HEAD itself (a file, a job's own server) is left to it. OpenAPI says of HEAD what RFC 9110, 9.3.2 says
of it: nothing of its own. Of a stream, HEAD has the beginning, and nothing is followed.
"""

from collections.abc import Callable, Sequence

from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = "HEAD"
GET = "GET"


class _Enough(OSError):
    """The answer is out: as when a client leaves, which whoever streams knows how to end at."""


def head_layer(routes: Callable[[], Sequence[BaseRoute]]) -> Callable[[ASGIApp], ASGIApp]:
    """The layer, next to the routes.

    Args:
        routes: which may answer HEAD themselves.
    """

    def layer(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] != HEAD or _has_own(routes(), scope):
                await app(scope, receive, send)
                return
            is_out = False

            async def send_head(message: Message) -> None:
                nonlocal is_out
                if not is_out and message["type"] == "http.response.start":
                    is_out = True
                    await send(message)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
                elif message.get("more_body"):
                    raise _Enough

            try:
                await app({**scope, "method": GET}, receive, send_head)
            except (_Enough, ClientDisconnect):
                if not is_out:
                    raise

        return serve

    return layer


def _has_own(routes: Sequence[BaseRoute], scope: Scope) -> bool:
    return any(route.matches(scope)[0] is Match.FULL for route in routes)
