"""The application: every route with the services it calls. `create_app` gets all it needs; no globals."""

from collections.abc import Callable
from functools import partial

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, Response
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from . import docs_page, errors
from .about import CORS, DESCRIPTION, TAGS
from .addresses import addresses_layer
from .collaborators import Collaborators, Settings
from .dashboard import add_dashboard
from .dialects.clients import Listeners
from .direct import Direct
from .door import Door
from .errors import Forms
from .events import Sockets
from .groups.account import add_account
from .groups.dialects import add_dialects
from .groups.market import add_market
from .groups.openai import add_openai
from .groups.records import add_records
from .groups.work import add_work
from .head import head_layer
from .late_routes import LateRoute
from .openai.headers import OpenAiHeaders
from .repeating import repeats_layer
from .scene import scene_layer
from .shared import Shared, share

# Of an application, and the forms of its errors: an application that has some requests answered elsewhere.
Elsewhere = Callable[[ASGIApp, Forms], ASGIApp]


class Application(FastAPI):
    """FastAPI's application, and before it the direct routes, which it would cost a third of their time to find.

    Attributes:
        direct: answers these, within the same layers as FastAPI all others.
    """

    direct: Direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, socket or life."""
        if not await self.direct.serve(scope, receive, send):
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings, world: Collaborators, elsewhere: Elsewhere | None = None
) -> FastAPI:
    """The ASGI application.

    Args:
        elsewhere: stands before all that counts, reads or stores a request; its answers have ids and headers as all have.
    """
    shared = share(settings, world)
    app = Application(
        title="NeuroGrid",
        version=shared.version,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        # Our own page: FastAPI's loads its scripts from another host.
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = LateRoute
    layers = _layers(app, shared, elsewhere)
    # Each stands around those before it.
    for layer in layers:
        app.add_middleware(layer)
    # CORS puts its headers on answers that begin apart.
    direct = app.direct = Direct(layers, shared.forms, whole=not settings.cors_origins)
    errors.install(app, shared.forms)
    # Routes are tried in this order, so those that are asked for most come first.
    add_work(app, direct, shared)
    add_market(app, shared)
    add_account(app, shared)
    add_records(app, shared)
    add_dialects(app, shared)
    add_openai(app, direct, shared)
    shared.schemas.install(app)
    _add_sockets_and_docs(app, shared)
    return app


def _layers(
    app: FastAPI, shared: Shared, elsewhere: Elsewhere | None
) -> list[Callable[[ASGIApp], ASGIApp]]:
    """What each request passes before it comes to a route, from the innermost on."""
    forms = shared.forms
    layers: list[Callable[[ASGIApp], ASGIApp]] = [
        head_layer(lambda: app.routes),
        repeats_layer(shared.world.database, forms),
        scene_layer(shared.failures),
        addresses_layer(shared.settings.proxies, shared.limits, forms),
    ]
    if elsewhere is not None:
        answered: Elsewhere = elsewhere
        layers.append(lambda app: answered(app, forms))
    layers += [OpenAiHeaders, partial(Door, forms=forms)]
    if shared.settings.cors_origins:
        # Pages of other origins get to read errors too, so CORS is outermost.
        origins = shared.settings.cors_origins
        layers.append(partial(CORSMiddleware, allow_origins=origins, **CORS))
    return layers


def _add_sockets_and_docs(app: FastAPI, shared: Shared) -> None:
    sockets = Sockets(
        gate=shared.gate,
        events=shared.events,
        nodes=shared.world.nodes,
        at_work=shared.overview.tasks_at_work,
        market_is_up=shared.world.market_is_up,
        stopping=shared.world.stopping,
        strangers_per_address_max=shared.settings.sockets_per_address,
        without_key=Listeners(
            shared.world.database,
            shared.settings.anonymous_account,
            shared.settings.cors_origins,
        ),
    )

    # Starlette's own route: each of thousands of sockets would hold what FastAPI's keeps for dependencies.
    app.router.routes.append(WebSocketRoute("/ws", sockets.serve))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page.HTML, headers=docs_page.HEADERS)

    if shared.settings.dashboard:
        add_dashboard(app)
