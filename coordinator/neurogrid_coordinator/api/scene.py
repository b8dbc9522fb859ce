"""One request as a scene: who acts in it is forgotten at its end, and a bug of ours in it is written down. Plain ASGI."""

from collections.abc import Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from ..services.failures import FailureLog
from ..store import audit
from .request_ids import REQUEST_ID_STATE


def scene_layer(failures: FailureLog) -> Callable[[ASGIApp], ASGIApp]:
    """The layer; it stands within the `Door`."""

    def layer(app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return
            with audit.Scene():
                try:
                    await app(scope, receive, send)
                except ClientDisconnect:
                    raise
                # Passed on to the boundary of the request, which logs and answers it.
                except Exception as error:
                    await failures.bug(
                        error,
                        method=str(scope.get("method", "WebSocket")),
                        path=scope["path"],
                        request_id=str(scope.get("state", {}).get(REQUEST_ID_STATE, "")),
                    )
                    raise

        return serve

    return layer
