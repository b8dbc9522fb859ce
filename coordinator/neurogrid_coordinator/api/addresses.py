"""Which address a request comes from, and that no address sends more than it may. Plain ASGI."""

from collections.abc import Callable

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..services.errors import RateLimited
from .client_address import Proxies, origin_of
from .errors import Forms, answer
from .job_socket import deny
from .request_limits import RequestLimits

_SECURE = {"http": "https", "ws": "wss"}


class Addresses:
    """Puts whoever asks through a trusted proxy in the proxy's place, and counts them."""

    def __init__(self, app: ASGIApp, proxies: Proxies, limits: RequestLimits, forms: Forms) -> None:
        self._app = app
        self._forms = forms
        self._proxies = proxies
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if self._proxies.networks and scope.get("client"):
            host = scope["client"][0]
            origin = origin_of(host, scope["headers"], self._proxies)
            if origin.address != host:
                # Its port is known to the proxy alone.
                scope["client"] = (origin.address, 0)
            if origin.scheme == "https":
                scope["scheme"] = _SECURE.get(scope["scheme"], scope["scheme"])
        try:
            self._limits.of_address(HTTPConnection(scope))
        except RateLimited as error:
            if scope["type"] == "websocket":
                await deny(WebSocket(scope, receive, send), answer(error), receive)
            else:
                await answer(error, self._forms.of(scope["path"]))(scope, receive, send)
            return
        await self._app(scope, receive, send)


def addresses_layer(
    proxies: Proxies, limits: RequestLimits, forms: Forms
) -> Callable[[ASGIApp], ASGIApp]:
    """The layer."""
    return lambda app: Addresses(app, proxies, limits, forms)
