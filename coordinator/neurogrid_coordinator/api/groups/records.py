"""What happens and has happened, told and counted, and how the coordinator is."""

from fastapi import FastAPI

from ...services.budgets import Budgets
from ..native.account_limits import add_account_limit_routes
from ..native.analytics import add_analytics_routes
from ..native.audit import add_audit_routes
from ..native.events import add_event_routes
from ..native.failures import add_failure_routes
from ..native.gpus import add_gpu_route
from ..native.status import add_status_routes
from ..native.webhook_deliveries import add_webhook_delivery_routes
from ..native.webhooks import add_webhook_routes
from ..shared import Shared


def add_records(app: FastAPI, shared: Shared) -> None:
    """Add the routes."""
    settings, world, gate, schemas = shared.settings, shared.world, shared.gate, shared.schemas
    add_event_routes(
        app,
        shared.events,
        gate,
        schemas,
        stopping=world.stopping,
        stream_s=settings.event_stream_s,
    )
    add_webhook_routes(app, shared.webhooks, gate, schemas)
    add_webhook_delivery_routes(app, shared.webhook_deliveries, gate, schemas)
    add_account_limit_routes(app, Budgets(world.database), settings.requests, gate, schemas)
    add_audit_routes(app, shared.audit_log, gate, schemas)
    add_failure_routes(app, shared.failures, gate, schemas)
    add_analytics_routes(app, shared.analytics, world.nodes, world.api_connections, gate, schemas)
    add_gpu_route(app, shared.gpus, gate, schemas)
    add_status_routes(
        app,
        overview=shared.overview,
        nodes=world.nodes,
        market_is_up=world.market_is_up,
        traffic=world.traffic,
        network=settings.network,
        version=shared.version,
        parts=shared.parts,
        schemas=schemas,
    )
