"""``/providers``: who offers machines, by what they have, where, and for how much."""

from decimal import Decimal
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.resources import Capacity, Requirements

from ...services.nodes import NodeStatus
from ...services.providers import LIST_MAX, NODES_MAX, Provider, ProviderRecord, Providers, Search
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .amounts import BYTES_PER_GB, micro_usdc
from .node_schemas import Earnings, NodeView
from .nodes import SMALLEST, gigabytes, node_fields
from .provider_schemas import (
    ProviderDetailView,
    ProviderGpuView,
    ProviderListView,
    ProviderView,
)

_GB_MAX = 10**6
_Gigabytes = Annotated[float | None, Query(ge=0, le=_GB_MAX, allow_inf_nan=False)]


def add_provider_routes(app: FastAPI, providers: Providers, gate: Gate, schemas: Schemas) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/providers",
        tags=["Providers"],
        summary="Search providers",
        response_class=Response,
        responses={
            200: schemas.answer(ProviderListView, "The cheapest first."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED"),
        },
    )
    async def search_providers(
        _: Annotated[Caller, Depends(gate.for_everybody)],
        gpu_model: Annotated[
            str, Query(max_length=128, description="Occurs in the model's name, in any case.")
        ] = "",
        gpu_memory_min: Annotated[
            float | None,
            Query(ge=0, le=_GB_MAX, allow_inf_nan=False, description="GB, of each GPU."),
        ] = None,
        gpu_count_min: Annotated[
            int | None, Query(ge=0, le=64, description="1 where something is said of GPUs.")
        ] = None,
        cpu_cores_min: Annotated[float | None, Query(ge=0, le=10_000, allow_inf_nan=False)] = None,
        ram_gb_min: _Gigabytes = None,
        storage_gb_min: _Gigabytes = None,
        max_price: Annotated[
            Decimal | None,
            Query(ge=0, lt=10**9, decimal_places=6, description="USDC per hour, for all of that."),
        ] = None,
        location: Annotated[
            str | None, Query(min_length=1, max_length=128, description="A region, as `us-east`.")
        ] = None,
        score_min: Annotated[
            float, Query(ge=0, le=100, allow_inf_nan=False, description="`performance_score`.")
        ] = 0,
        status: Annotated[
            NodeStatus | None, Query(description="Left out: all that are connected.")
        ] = None,
        available: Annotated[
            bool | None, Query(description="Whether a machine could take it now.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_MAX)] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    ) -> Response:
        """Providers with at least one machine that has all that is asked for. The price is what that machine asks
        for it; where nothing is said, for one core, 0.5 GB of memory and no GPU."""
        wants_gpu = bool(gpu_model or gpu_memory_min)
        need = Requirements(
            cpu_millis=SMALLEST.cpu_millis
            if cpu_cores_min is None
            else round(cpu_cores_min * 1000),
            memory_bytes=SMALLEST.memory_bytes if ram_gb_min is None else _bytes(ram_gb_min),
            disk_bytes=_bytes(storage_gb_min or 0),
            gpu_count=int(wants_gpu) if gpu_count_min is None else gpu_count_min,
            gpu_memory_bytes=_bytes(gpu_memory_min or 0),
            gpu_model=gpu_model,
            regions=() if location is None else (location,),
        )
        search = Search(
            need,
            price_max_micro_usdc=None if max_price is None else micro_usdc(max_price, "max_price"),
            score_min_permille=round(score_min * 10),
            status=status,
            available=available,
        )
        page = providers.search(search, limit=limit, offset=offset)
        views = [ProviderView(**_fields(provider)) for provider in page.providers]
        return success(ProviderListView(views, page.total, limit, offset))

    @app.get(
        f"{API}/providers/{{provider_id}}",
        tags=["Providers"],
        summary="Show a provider",
        response_class=Response,
        responses={
            200: schemas.answer(ProviderDetailView, "With its machines and its record here."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def get_provider(
        provider_id: str, _: Annotated[Caller, Depends(gate.for_everybody)]
    ) -> Response:
        """`provider_id` is a wallet. All its machines that are connected are shown, and those that were since this
        coordinator started."""
        return success(_detail_view(*await providers.get(provider_id, SMALLEST)))


def _fields(provider: Provider) -> dict[str, Any]:
    score, stake = provider.score_permille, provider.stake_micro_usdc
    offers = [node.view.offer for node in provider.nodes]
    return {
        "id": provider.wallet,
        "status": provider.status.value,
        "locations": sorted({offer.region for offer in offers}),
        "price_per_hour": format_usdc(provider.price_micro_usdc_per_hour),
        "performance_score": None if score is None else score / 10,
        "stake": None if stake is None else format_usdc(stake),
        "node_count": len(offers),
        "nodes_available": provider.available,
        "gpus": _gpus([(offer.total, offer.free) for offer in offers]),
        "cpu_cores": max(offer.total.cpu_millis for offer in offers) / 1000,
        "ram_gb": gigabytes(max(offer.total.memory_bytes for offer in offers)),
        "storage_gb": gigabytes(max(offer.total.disk_bytes for offer in offers)),
    }


def _gpus(machines: list[tuple[Capacity, Capacity]]) -> list[ProviderGpuView]:
    """By model; ``machines``: what each has in all, and what is free of it."""
    total = [gpu for machine, _ in machines for gpu in machine.gpus]
    free = [gpu.model for _, left in machines for gpu in left.gpus]
    return [
        ProviderGpuView(
            model=model,
            memory_gb=gigabytes(min(gpu.memory_bytes for gpu in total if gpu.model == model)),
            count=sum(gpu.model == model for gpu in total),
            free=free.count(model),
        )
        for model in sorted({gpu.model for gpu in total})
    ]


def _detail_view(provider: Provider, record: ProviderRecord) -> ProviderDetailView:
    return ProviderDetailView(
        **_fields(provider),
        last_seen=iso(max(node.view.last_heard_ms for node in provider.nodes)),
        jobs_paid=record.paid.jobs,
        earnings=Earnings(
            total=format_usdc(record.paid.micro_usdc),
            currency="USDC",
            last_30_days=format_usdc(record.paid_30_days.micro_usdc),
        ),
        nodes=[NodeView(**node_fields(node)) for node in provider.nodes[:NODES_MAX]],
    )


def _bytes(size_gb: float) -> int:
    return round(size_gb * BYTES_PER_GB)
