"""The application: every route with the services it calls. `create_app` gets all it needs; no globals."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response
from starlette.websockets import WebSocket

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.spreading import Barred
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import KeySent

from ..artifacts import BlobStore, LeaseTokens
from ..client_funds import ClientFunds
from ..market.reports import Traffic
from ..services.artifacts import Artifacts, Limits
from ..services.auctions import Auctions
from ..services.balances import Balances
from ..services.events import Events
from ..services.logs import Logs
from ..services.nodes import Nodes
from ..services.overview import Overview
from ..services.prices import Prices
from ..services.results import Results
from ..services.sealing import Sealing
from ..services.submission import Terms
from ..services.tasks import Tasks
from ..services.workflows import Workflows
from ..spot_checks import Commitment
from ..store.database import Database
from ..store.feed import Feed
from ..store.tasks import TaskState
from . import docs_page, errors
from .auth import Gate
from .direct import Direct
from .door import Door
from .events import Sockets
from .native.account import add_account_route
from .native.artifacts import add_artifact_routes
from .native.auctions import add_auction_route
from .native.constraints import add_constraint_route
from .native.nodes import add_match_route, add_node_routes
from .native.prices import add_price_routes
from .native.reputation import (
    add_challenge_evidence_route,
    add_commitment_route,
    add_evidence_route,
    add_reputation_route,
)
from .native.results import add_result_routes
from .native.sealing import add_sealing_routes
from .native.status import add_status_routes
from .native.tasks import add_task_routes
from .native.workflows import add_workflow_routes
from .openapi import Schemas
from .paths import API
from .rate_limit import RateLimit

__all__ = ["API", "Collaborators", "Settings", "create_app"]

_DESCRIPTION = """
A marketplace for GPU compute: submit a container job, nodes bid for it, the winner runs it and is paid
in USDC on Solana for the time it ran.

Send `Authorization: Bearer ng_...` with every request. Answers are
`{"success": true, "data": ..., "timestamp": ...}`, errors
`{"success": false, "error": {"code", "message", "type", "details"}}`. Money is USDC in decimal strings.
Times are UTC. `X-RateLimit-*` headers say how many requests are left in this minute.
"""
_TAGS = [
    {"name": "Tasks", "description": "Submit, watch and end container jobs."},
    {"name": "Workflows", "description": "Tasks that depend on each other."},
    {"name": "Results", "description": "What a job prints, leaves and proves."},
    {"name": "Artifacts", "description": "Files by their SHA-256: a job's inputs."},
    {"name": "Nodes", "description": "Who offers what, and how a request would meet it."},
    {"name": "Account", "description": "Your money."},
    {"name": "Status", "description": "How the coordinator is; public."},
]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator sets.

    Attributes:
        network: the market's tag (marketplace `network_id`).
        public_url: how clients reach us, without a slash at the end; "" for relative links.
        requests_per_minute: per key; 0 for no limit.
    """

    network: str
    terms: Terms
    limits: Limits
    public_url: str = ""
    requests_per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Collaborators:
    """Who the api works with; see the services for what each call means.

    Attributes:
        nodes: told by the market's `on_node`.
        commitments: to the secrets that spot checks are drawn with.
        explain, market_is_up, traffic: of the market client.
        funds: of the chain.
        wake, request_cancel, request_cancel_all, send_key: of the orchestrator.
        stopping: set when the coordinator stops: long answers end then.
    """

    database: Database
    feed: Feed
    blobs: BlobStore
    tokens: LeaseTokens
    nodes: Nodes
    commitments: Callable[[], list[Commitment]]
    explain: Callable[[Demand, Barred], Awaitable[Explanation]]
    market_is_up: Callable[[], bool]
    traffic: Callable[[], Traffic]
    funds: Callable[[str], Awaitable[ClientFunds]]
    wake: Callable[[TaskState], None]
    request_cancel: Callable[[str], Awaitable[Phase]]
    request_cancel_all: Callable[[Sequence[str]], Awaitable[None]]
    send_key: Callable[[str, KeySent], Awaitable[None]]
    stopping: asyncio.Event


def create_app(settings: Settings, world: Collaborators) -> FastAPI:
    """The ASGI application."""
    version = installed_version("neurogrid")
    limit = RateLimit(settings.requests_per_minute) if settings.requests_per_minute else None
    gate = Gate(world.database, limit)
    schemas = Schemas()
    balances = Balances(world.database, world.funds)
    tasks = Tasks(
        database=world.database,
        feed=world.feed,
        terms=settings.terms,
        explain=world.explain,
        may_return=world.nodes.may_return,
        balances=balances,
        wake=world.wake,
        request_cancel=world.request_cancel,
    )
    workflows = Workflows(
        database=world.database,
        tasks=tasks,
        balances=balances,
        request_cancel_all=world.request_cancel_all,
    )
    artifacts = Artifacts(
        database=world.database, blobs=world.blobs, tokens=world.tokens, limits=settings.limits
    )
    events = Events(world.database, world.feed)

    app = FastAPI(
        title="NeuroGrid",
        version=version,
        description=_DESCRIPTION,
        openapi_tags=_TAGS,
        # Our own page: FastAPI's loads its scripts from another host.
        docs_url=None,
        redoc_url=None,
    )
    direct = Direct()
    app.add_middleware(direct.layer)
    app.add_middleware(Door)
    errors.install(app)
    # Routes are tried in this order, so those that are asked for most come first.
    add_task_routes(app, direct, tasks, gate, schemas)
    add_result_routes(
        app,
        logs=Logs(world.database),
        results=Results(world.database),
        events=events,
        artifacts=artifacts,
        gate=gate,
        schemas=schemas,
        stopping=world.stopping,
        public_url=settings.public_url,
    )
    add_sealing_routes(app, Sealing(world.database, world.send_key), gate, schemas)
    add_workflow_routes(app, workflows, gate, schemas)
    add_auction_route(app, Auctions(world.database), gate, schemas)
    add_artifact_routes(app, artifacts, gate, schemas)
    add_node_routes(app, world.nodes, gate, schemas)
    add_reputation_route(app, world.nodes, gate, schemas)
    add_evidence_route(app, world.nodes, gate, schemas)
    add_challenge_evidence_route(app, world.nodes, gate, schemas)
    add_commitment_route(app, world.commitments, schemas)
    add_match_route(app, tasks, gate, schemas)
    add_constraint_route(app, gate, schemas)
    add_price_routes(app, Prices(world.database, tasks, balances, world.nodes.offer), gate, schemas)
    add_account_route(app, balances, gate, schemas)
    add_status_routes(
        app,
        overview=Overview(world.database),
        nodes=world.nodes,
        market_is_up=world.market_is_up,
        traffic=world.traffic,
        network=settings.network,
        version=version,
        schemas=schemas,
    )
    schemas.install(app)
    sockets = Sockets(gate=gate, events=events, nodes=world.nodes, stopping=world.stopping)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket) -> None:
        await sockets.serve(websocket)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page.HTML, headers=docs_page.HEADERS)

    return app
