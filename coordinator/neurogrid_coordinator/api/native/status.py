"""``/health`` and ``/api/v1/status``: how the coordinator is. Public, so that monitors need no key."""

import time
from collections.abc import Callable

from fastapi import FastAPI
from starlette.responses import Response

from ...market.reports import Traffic
from ...services.nodes import Nodes
from ...services.overview import Overview
from ..envelope import json_response, success
from ..openapi import Schemas
from ..paths import API
from .account_schemas import StatusView
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
    schemas: Schemas,
) -> None:
    """Add the routes."""
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
        )
        return success(view)

    @app.get(
        "/health",
        tags=["Status"],
        summary="Whether the api answers",
        response_class=Response,
    )
    async def get_health() -> Response:
        """For load balancers: no database, no chain."""
        return json_response({"status": "ok"})
