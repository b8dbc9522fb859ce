"""``/nodes`` and ``/match/explain``: what the market has, and how a request would meet it."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.resources import Requirements

from ...services.nodes import LIST_MAX, KnownNode, NodeRecord, Nodes, NodeStatus
from ...services.tasks import Tasks
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..explanations import explanation_view
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import BYTES_PER_GB
from .market_schemas import ExplanationView
from .model_schemas import ModelRequest
from .node_schemas import Earnings, GpuView, NodeDetailView, NodeListView, NodeView
from .operation_schemas import OperationRequest
from .requests import TaskRequest
from .task_kinds import ByName, read_submission
from .tasks import TASK_EXAMPLE

_GIB = 1024**3
# What `price_per_hour` in a list is the price of.
SMALLEST = Requirements(cpu_millis=1000, memory_bytes=500_000_000, disk_bytes=0)


def add_node_routes(app: FastAPI, nodes: Nodes, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/nodes",
        tags=["Nodes"],
        summary="List nodes",
        response_class=Response,
        responses={
            200: schemas.answer(NodeListView, "In the order of their ids."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED"),
        },
    )
    async def list_nodes(
        _: Annotated[Caller, Depends(gate.for_everybody)],
        status: Annotated[NodeStatus | None, Query(description="Only these.")] = None,
        region: Annotated[str | None, Query(max_length=128)] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Nodes that are connected, and those that were since this coordinator started."""
        page = nodes.list(status=status, region=region, limit=limit, offset=offset)
        views = [NodeView(**node_fields(node)) for node in page.nodes]
        return success(NodeListView(views, page.total, limit, offset))

    @app.get(
        f"{API}/nodes/{{node_id}}",
        tags=["Nodes"],
        summary="Show a node",
        response_class=Response,
        responses={
            200: schemas.answer(NodeDetailView, "With its record here."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_node(node_id: str, _: Annotated[Caller, Depends(gate.for_everybody)]) -> Response:
        """Earnings are what was paid through this coordinator, the market's fee included."""
        return success(_detail_view(*await nodes.get(node_id)))


def add_match_route(
    app: FastAPI, tasks: Tasks, gate: Gate, schemas: Schemas, by_name: ByName
) -> None:
    """Add the route."""

    @app.post(
        f"{API}/match/explain",
        tags=["Nodes"],
        summary="Ask how a task would meet the market",
        response_class=Response,
        responses={
            200: schemas.answer(ExplanationView, "Nothing is stored and nothing is paid."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "MODEL_UNAVAILABLE", "UNAVAILABLE"),
        },
        openapi_extra=schemas.body(TaskRequest, TASK_EXAMPLE, OperationRequest, ModelRequest),
    )
    async def explain(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Takes the body of a task. Says per constraint how many nodes are left, who came
        nearest, the lowest price at which it would find a node, and the one change that would
        help most."""
        wanted = await read_submission(request, caller.account.wallet, by_name)
        explanation, demand = await tasks.explain(caller.account, wanted)
        cost = format_usdc(wanted.held_micro_usdc(demand))
        view = explanation_view(explanation)
        if explanation.matching < demand.seats and demand.seats > 1:
            there = f"{explanation.matching} of {demand.seats} nodes could take part now."
            view["summary"] = f"{there} {explanation.sentence()}"
        return success({**view, "wanted": demand.seats, "max_cost": cost})


def node_fields(node: KnownNode) -> dict[str, Any]:
    """What a `NodeView` shows of a node."""
    offer = node.view.offer
    total, free = offer.total, offer.free
    first = total.gpus[0] if total.gpus else None
    standing = node.standing
    return {
        "id": offer.node_id,
        "status": node.status.value,
        "region": offer.region,
        "capabilities": ["container", *(["gpu"] if first else [])],
        "gpu_info": first
        and GpuView(
            model=first.model,
            memory=f"{round(first.memory_bytes / _GIB)}GB",
            compute_capability=first.compute_capability,
            count=sum(gpu.model == first.model for gpu in total.gpus),
        ),
        "performance_score": standing and standing.score_permille / 10,
        "start_factor": standing and standing.start_factor_permille / 1000,
        "last_seen": iso(node.view.last_heard_ms),
        "wallet": offer.wallet,
        "software": offer.software,
        "summary": offer.summary,
        "cpu_model": offer.cpu_model,
        "cpu_cores": total.cpu_millis / 1000,
        "cpu_cores_free": free.cpu_millis / 1000,
        "ram_gb": gigabytes(total.memory_bytes),
        "ram_gb_free": gigabytes(free.memory_bytes),
        "storage_gb": gigabytes(total.disk_bytes),
        "storage_gb_free": gigabytes(free.disk_bytes),
        "gpu_count": len(total.gpus),
        "gpu_count_free": len(free.gpus),
        "price_per_hour": format_usdc(offer.prices.quote(SMALLEST)),
        "accepting": offer.accepting,
        "enforcement": offer.enforcement,
    }


def _detail_view(node: KnownNode, record: NodeRecord) -> NodeDetailView:
    offer = node.view.offer
    used = offer.total.cpu_millis - offer.free.cpu_millis
    online = node.status is not NodeStatus.OFFLINE
    connected_ms = node.view.last_heard_ms - node.view.connected_since_ms
    return NodeDetailView(
        **node_fields(node),
        owner=offer.wallet,
        current_load=round(used / offer.total.cpu_millis, 3) if offer.total.cpu_millis else 0.0,
        total_tasks_completed=record.tasks_completed,
        uptime=_duration(connected_ms) if online else "0d 0h 0m",
        earnings=Earnings(
            total=format_usdc(record.earned_micro_usdc),
            currency="USDC",
            last_30_days=format_usdc(record.earned_30_days_micro_usdc),
        ),
    )


def gigabytes(size_bytes: int) -> float:
    """An amount of bytes in GB, as it is shown."""
    return round(size_bytes / BYTES_PER_GB, 3)


def _duration(milliseconds: int) -> str:
    minutes = milliseconds // 60_000
    return f"{minutes // 1440}d {minutes // 60 % 24}h {minutes % 60}m"
