"""``/provider/resources`` and ``/provider/tasks``: an owner's machines, and what they do."""

from dataclasses import replace
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...services.resources import (
    LIST_MAX,
    Resource,
    Resources,
    ResourceStatus,
    ResourceType,
    Work,
)
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .nodes import SMALLEST, gigabytes
from .resource_schemas import (
    PricingView,
    ProviderTaskListView,
    ProviderTaskView,
    ResourceListView,
    ResourceView,
    SpecificationsView,
)

_RESOURCES = f"{API}/provider/resources"


def add_resource_routes(app: FastAPI, resources: Resources, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.get(
        _RESOURCES,
        tags=["Providers"],
        summary="List your machines",
        response_class=Response,
        responses={
            200: schemas.answer(ResourceListView, "In the order of their ids."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN"),
        },
    )
    async def list_resources(
        caller: Annotated[Caller, Depends(gate.for_providers)],
        type: Annotated[ResourceType | None, Query(description="Only these.")] = None,
        status: Annotated[ResourceStatus | None, Query(description="Only these.")] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """The nodes whose owner is the account's wallet: those that are connected, and those that were since this
        coordinator started. What they offer is said by the nodes themselves."""
        page = resources.list(caller.account, type=type, status=status, limit=limit, offset=offset)
        views = [_resource_view(resource) for resource in page.resources]
        return success(ResourceListView(views, page.total, limit, offset))

    @app.get(
        f"{_RESOURCES}/{{resource_id}}",
        tags=["Providers"],
        summary="Show a machine of yours",
        response_class=Response,
        responses={
            200: schemas.answer(ResourceView, "As it is now."),
            **errors("UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND"),
        },
    )
    async def get_resource(
        resource_id: str, caller: Annotated[Caller, Depends(gate.for_providers)]
    ) -> Response:
        """Another owner's is not found here; `GET /nodes/{node_id}` shows it."""
        return success(_resource_view(resources.get(caller.account, resource_id)))

    @app.get(
        f"{API}/provider/tasks",
        tags=["Providers"],
        summary="List what your machines do",
        response_class=Response,
        responses={
            200: schemas.answer(ProviderTaskListView, "Newest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "FORBIDDEN"),
        },
    )
    async def list_provider_tasks(
        caller: Annotated[Caller, Depends(gate.for_providers)],
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """What they have taken and not been paid for yet; what is paid is at `/provider/earnings/jobs`. Whose tasks they
        are is their clients' affair."""
        page = await resources.works(caller.account, limit=limit, offset=offset)
        views = [_task_view(work) for work in page.works]
        return success(ProviderTaskListView(views, page.total, limit, offset))


def _resource_view(resource: Resource) -> ResourceView:
    node = resource.node
    offer, standing = node.view.offer, node.standing
    total, free, prices = offer.total, offer.free, offer.prices
    first = total.gpus[0] if total.gpus else None
    return ResourceView(
        id=offer.node_id,
        resource_type=resource.type.value,
        status=resource.status.value,
        specifications=SpecificationsView(
            model=first.model if first else None,
            memory_gb=gigabytes(first.memory_bytes) if first else None,
            gpu_count=len(total.gpus),
            gpu_count_free=len(free.gpus),
            cpu_cores=total.cpu_millis / 1000,
            cpu_cores_free=free.cpu_millis / 1000,
            ram_gb=gigabytes(total.memory_bytes),
            ram_gb_free=gigabytes(free.memory_bytes),
            storage_gb=gigabytes(total.disk_bytes),
            storage_gb_free=gigabytes(free.disk_bytes),
        ),
        pricing=PricingView(
            per_hour=format_usdc(prices.quote(replace(SMALLEST, gpu_count=int(bool(first))))),
            base=format_usdc(prices.base_micro_usdc_per_hour),
            per_cpu_core=format_usdc(prices.cpu_core_micro_usdc_per_hour),
            per_memory_gib=format_usdc(prices.memory_gib_micro_usdc_per_hour),
            per_gpu=format_usdc(prices.gpu_micro_usdc_per_hour),
        ),
        location=offer.region,
        performance_score=standing.score_permille / 10 if standing else None,
        running_tasks=len(node.view.leases),
        last_seen=iso(node.view.last_heard_ms),
    )


def _task_view(work: Work) -> ProviderTaskView:
    pay, said = work.pay, work.status
    return ProviderTaskView(
        lease_id=pay.lease_id,
        resource_id=pay.node_id,
        status=said.phase.value if said else None,
        progress=said.progress_permille / 10 if said else None,
        metered_seconds=said.metered_ms / 1000 if said else None,
        escrowed=format_usdc(pay.escrowed_micro_usdc),
        promised=format_usdc(pay.signed_micro_usdc),
        created_at=iso(pay.created_at_ms),
    )
