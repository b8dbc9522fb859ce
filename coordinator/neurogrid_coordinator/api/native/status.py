"""``/health`` and ``/api/v1/status``: how the coordinator is. Public, so that monitors need no key."""

import time
from collections.abc import Callable

from fastapi import APIRouter
from starlette.responses import Response

from ...services.nodes import Nodes
from ...services.overview import Overview
from ..envelope import json_response, success
from ..openapi import Schemas
from .schemas import StatusView
from .words import STATUS_OF_PHASE


def status_router(
    *,
    overview: Overview,
    nodes: Nodes,
    market_is_up: Callable[[], bool],
    network: str,
    version: str,
    schemas: Schemas,
) -> APIRouter:
    """The route below ``/api/v1``."""
    router = APIRouter(tags=["Status"])
    started_s = time.monotonic()

    @router.get(
        "/status",
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
            tasks={str(word): count for word, count in tasks.items()},
            uptime_seconds=int(time.monotonic() - started_s),
        )
        return success(view)

    return router


def health_router() -> APIRouter:
    """The route at the root."""
    router = APIRouter(tags=["Status"])

    @router.get("/health", summary="Whether the api answers", response_class=Response)
    async def get_health() -> Response:
        """For load balancers: no database, no chain."""
        return json_response({"status": "ok"})

    return router
