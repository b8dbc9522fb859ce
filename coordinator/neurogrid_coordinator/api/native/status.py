"""``/api/v1/status``: how the coordinator is. Public, so that monitors need no key."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.responses import Response

from ...market.reports import Traffic
from ...services.errors import NotFound
from ...services.health import Services
from ...services.nodes import Nodes
from ...services.overview import Overview
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .account_schemas import ServiceStatusView, StatusView
from .words import STATUS_OF_PHASE


def add_status_routes(
    app: FastAPI,
    *,
    overview: Overview,
    nodes: Nodes,
    market_is_up: Callable[[], bool],
    traffic: Callable[[], Traffic],
    network: str,
    version: str,
    parts: Services,
    schemas: Schemas,
) -> None:
    """Add the routes. ``parts``: what the coordinator is made of."""
    started_s = time.monotonic()

    @app.get(
        f"{API}/status",
        tags=["Status"],
        summary="How the coordinator is",
        response_class=Response,
        responses={200: schemas.answer(StatusView, "`degraded`: the market process is away.")},
    )
    async def get_status() -> Response:
        """Without a key. `tasks` counts all accounts' tasks by status."""
        up = market_is_up()
        checked = await parts.all()
        tasks = dict.fromkeys(STATUS_OF_PHASE.values(), 0)
        for phase, count in (await overview.tasks_by_phase()).items():
            tasks[STATUS_OF_PHASE[phase]] += count
        view = StatusView(
            status="ok" if up else "degraded",
            version=version,
            network=network,
            market="up" if up else "down",
            nodes=nodes.connected_count(),
            connections=traffic().connections,
            lease_streams=traffic().lease_streams,
            refused=dict(traffic().refused),
            tasks={str(word): count for word, count in tasks.items()},
            differences=await overview.differences(),
            uptime_seconds=int(time.monotonic() - started_s),
            services={name: part.health for name, part in checked.items()},
            last_health_check=iso(max(part.at_ms for part in checked.values())),
        )
        return success(view)

    @app.get(
        f"{API}/status/services/{{service}}",
        tags=["Status"],
        summary="How a part of the coordinator is",
        response_class=Response,
        responses={
            200: schemas.answer(ServiceStatusView, "Up to five seconds old."),
            **errors("NOT_FOUND"),
        },
    )
    async def get_service_status(service: str) -> Response:
        """Without a key. Each part is asked, and has two seconds to answer."""
        if service not in parts.names:
            raise NotFound(
                f"there is no service {service[:80]}; there are {', '.join(parts.names)}",
                {"services": list(parts.names)},
            )
        part = await parts.check(service)
        return success(ServiceStatusView(service, part.health, dict(part.details), iso(part.at_ms)))
