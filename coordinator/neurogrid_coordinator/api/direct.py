"""Routes that are called hundreds of times a second: FastAPI documents them and stays out of the way.

A direct endpoint gets the request and nothing else: it asks the `Gate` itself and reads its own
parameters. It is found before FastAPI is asked, whose telemetry, routing, exception and exit-stack layers and
resolving of dependencies together cost such a request more than all it does (bench: rest_submit_ratio,
rest_read_ratio). The same endpoint is added to FastAPI too, for the document and as a fallback.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..files.artifacts import StoreUnavailable
from ..server.whole_exchanges import whole_exchange
from ..services.errors import Refused
from ..store.database import DatabaseClosed, Overloaded
from .envelope import JsonAnswer
from .errors import Forms, answer
from .head import GET, HEAD

Endpoint = Callable[[Request], Awaitable[Response]]
# Where the endpoint is, until the layers have been passed.
_ENDPOINT = "neurogrid.endpoint"
# Set where all that stands around the endpoint passes whole answers on.
_WHOLE = "neurogrid.whole"


class Direct:
    """The direct routes of an application.

    Args:
        layers: what stands around them, from the innermost on.
        forms: of errors, by path.
        whole: whether these take whole answers (`whole_exchanges`).
    """

    def __init__(
        self,
        layers: Iterable[Callable[[ASGIApp], ASGIApp]],
        forms: Forms,
        *,
        whole: bool = False,
    ) -> None:
        self._whole_answers = whole
        self._forms = forms
        self._answer: ASGIApp = self._endpoint
        for layer in layers:
            self._answer = layer(self._answer)
        # Method and path, or the path before a parameter at its end -> endpoint, parameter.
        self._whole: dict[tuple[str, str], Endpoint] = {}
        self._prefixed: dict[tuple[str, str], tuple[Endpoint, str]] = {}

    def add(
        self,
        app: FastAPI,
        method: str,
        path: str,
        endpoint: Endpoint,
        *,
        parameters: list[dict[str, Any]],
        openapi_extra: dict[str, Any] | None = None,
        **documentation: Any,
    ) -> None:
        """Add a route.

        Args:
            path: at most one parameter, at its end.
            parameters: OpenAPI parameter objects, which the signature does not show.
            documentation: as for `FastAPI.get`: tags, summary, responses ...
        """
        head, brace, name = path.partition("{")
        if brace:
            self._prefixed[method, head] = (endpoint, name.removesuffix("}"))
        else:
            self._whole[method, path] = endpoint
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            response_class=Response,
            openapi_extra={"parameters": parameters, **(openapi_extra or {})},
            **documentation,
        )

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer a request to one of these routes; False: it is none."""
        endpoint = self._find(scope) if scope["type"] == "http" else None
        if endpoint is None:
            return False
        scope[_ENDPOINT] = endpoint
        if self._whole_answers and (exchange := whole_exchange(scope)) is not None:
            scope[_WHOLE] = True
            send = exchange.send
        await self._answer(scope, receive, send)
        return True

    def _find(self, scope: Scope) -> Endpoint | None:
        method, path = scope["method"], scope["path"]
        if method == HEAD:
            method = GET
        endpoint = self._whole.get((method, path))
        if endpoint is not None:
            return endpoint
        head, slash, value = path.rpartition("/")
        found = self._prefixed.get((method, head + slash))
        if found is None or not value:
            return None
        endpoint, name = found
        scope["path_params"] = {name: value}
        return endpoint

    async def _endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint: Endpoint = scope[_ENDPOINT]
        try:
            response = await endpoint(Request(scope, receive, send))
        except (Refused, Overloaded, DatabaseClosed, StoreUnavailable) as error:
            response = answer(error, self._forms.of(scope["path"]))
        if _WHOLE in scope and isinstance(response, JsonAnswer):
            await send(response.whole())
        else:
            await response(scope, receive, send)


def path_parameter(name: str) -> dict[str, Any]:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
