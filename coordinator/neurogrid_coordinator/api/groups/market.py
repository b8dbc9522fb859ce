"""Who offers what, what may be asked of them by name, and at what price."""

from fastapi import FastAPI

from ...services.prices import Prices
from ...services.providers import Providers
from ..native.constraints import add_constraint_route
from ..native.model_answers import add_model_answer_routes
from ..native.models import add_model_routes
from ..native.nodes import add_match_route, add_node_routes
from ..native.operations import add_operation_route
from ..native.prices import add_price_routes
from ..native.providers import add_provider_routes
from ..native.reputation import (
    add_challenge_evidence_route,
    add_commitment_route,
    add_evidence_route,
    add_reputation_route,
)
from ..shared import Shared
from ..streaming import waits_of


def add_market(app: FastAPI, shared: Shared) -> None:
    """Add the routes."""
    settings, world, gate, schemas = shared.settings, shared.world, shared.gate, shared.schemas
    add_node_routes(app, world.nodes, gate, schemas)
    add_provider_routes(app, Providers(world.database, world.nodes), gate, schemas)
    add_reputation_route(app, world.nodes, gate, schemas)
    add_evidence_route(app, world.nodes, gate, schemas)
    add_challenge_evidence_route(app, world.nodes, gate, schemas)
    add_commitment_route(app, world.commitments, schemas)
    add_match_route(app, shared.tasks, gate, schemas, shared.by_name)
    add_operation_route(app, gate, schemas)
    add_model_routes(app, settings.models, gate, schemas, world.serving)
    waits = waits_of(settings.models, world.serving)
    add_model_answer_routes(app, shared.native_answers, gate, schemas, settings.public_url, waits)
    add_constraint_route(app, gate, schemas)
    prices = Prices(world.database, shared.tasks, shared.balances, world.nodes.offer)
    add_price_routes(app, prices, gate, schemas, shared.by_name)
