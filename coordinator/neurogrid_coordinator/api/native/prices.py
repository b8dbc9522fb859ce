"""``/market/prices`` and ``/match/estimate``: what awards cleared at, and what a task would cost."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, FastAPI, Query, Request
from starlette.responses import Response

from neurogrid_marketplace.estimate import PriceRange
from neurogrid_marketplace.money import format_usdc
from neurogrid_marketplace.price_history import PriceHour, PriceSummary, summary, unit_of

from ...services.prices import EstimateDetail, Prices
from ...store.prices import KEPT_MS
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .market_schemas import (
    ClassPricesView,
    EstimateBalanceView,
    EstimateView,
    MarketPricesView,
    PriceHourView,
    RangeView,
)
from .model_schemas import ModelRequest
from .operation_schemas import OperationRequest
from .requests import TaskRequest
from .task_kinds import ByName, read_submission
from .tasks import TASK_EXAMPLE

_HOURS_MAX = KEPT_MS // 3_600_000


def add_price_routes(
    app: FastAPI, prices: Prices, gate: Gate, schemas: Schemas, by_name: ByName
) -> None:
    """Add the routes."""

    @app.get(
        f"{API}/market/prices",
        tags=["Nodes"],
        summary="Show what awards cleared at",
        response_class=Response,
        responses={
            200: schemas.answer(MarketPricesView, "Of all accounts together."),
            **errors("INVALID_REQUEST", "UNAUTHORIZED", "RATE_LIMITED"),
        },
    )
    async def market_prices(
        _: Annotated[Caller, Depends(gate.for_everybody)],
        hours: Annotated[int, Query(ge=1, le=_HOURS_MAX, description="How far back.")] = 24,
        name: Annotated[
            str | None,
            Query(alias="class", max_length=140, description="Only this, with each of its hours."),
        ] = None,
    ) -> Response:
        """By what was bought: the model of the GPU, or cores, with " spot" behind it for preemptible
        tasks. Prices are of a whole task, memory
        included, divided by its GPUs or cores, so that they compare."""
        found = await prices.history(hours, name)
        views = [
            _class_view(each.summary, each.hours if name is not None else ()) for each in found
        ]
        return success(MarketPricesView(hours, "USDC", views))

    @app.post(
        f"{API}/match/estimate",
        tags=["Nodes"],
        summary="Ask what a task would likely cost",
        response_class=Response,
        responses={
            200: schemas.answer(EstimateView, "Nothing is stored and nothing is paid."),
            **errors(
                "INVALID_REQUEST",
                "UNAUTHORIZED",
                "MODEL_UNAVAILABLE",
                "RATE_LIMITED",
                "UNAVAILABLE",
            ),
        },
        openapi_extra=schemas.body(TaskRequest, TASK_EXAMPLE, OperationRequest, ModelRequest),
    )
    async def estimate(request: Request, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Takes the body of a task. The price follows from what is asked now and what such tasks
        cleared at in the last seven days; the auction decides, by sealed bids."""
        wanted = await read_submission(request, caller.account.wallet, by_name)
        detail = await prices.estimate(caller.account, wanted)
        return success(_estimate_view(detail, wanted.held_micro_usdc(detail.demand)))


def _class_view(of: PriceSummary, hours: Sequence[PriceHour] = ()) -> ClassPricesView:
    return ClassPricesView(
        name=of.name,
        unit=unit_of(of.name),
        awards=of.awards,
        lowest=format_usdc(of.lowest_micro_usdc),
        median=format_usdc(of.median_micro_usdc),
        high=format_usdc(of.high_micro_usdc),
        highest=format_usdc(of.highest_micro_usdc),
        start_seconds=of.start_ms / 1000,
        hours=[
            PriceHourView(
                iso(hour.at_ms),
                alone.awards,
                format_usdc(alone.lowest_micro_usdc),
                format_usdc(alone.median_micro_usdc),
                format_usdc(alone.highest_micro_usdc),
            )
            for hour in hours
            if (alone := summary([hour])) is not None
        ],
    )


def _estimate_view(detail: EstimateDetail, needed_micro_usdc: int) -> EstimateView:
    found, now = detail.estimate, detail.explanation
    return EstimateView(
        summary=_sentence(detail),
        nodes=now.nodes,
        wanted=detail.demand.seats,
        matching=now.matching,
        suitable=now.asks.nodes if now.asks else 0,
        price_per_hour=_range_view(found.price),
        total=_range_view(found.total),
        lowest_ask_per_hour=format_usdc(now.asks.lowest_micro_usdc) if now.asks else None,
        start_seconds=None if found.start_ms is None else found.start_ms / 1000,
        max_cost=format_usdc(needed_micro_usdc),
        balance=EstimateBalanceView(
            available=format_usdc(detail.available_micro_usdc),
            needed=format_usdc(needed_micro_usdc),
            enough=needed_micro_usdc <= detail.available_micro_usdc,
        ),
        history=_class_view(detail.before) if detail.before else None,
    )


def _range_view(of: PriceRange | None) -> RangeView | None:
    if of is None:
        return None
    return RangeView(
        format_usdc(of.low_micro_usdc),
        format_usdc(of.expected_micro_usdc),
        format_usdc(of.high_micro_usdc),
    )


def _sentence(detail: EstimateDetail) -> str:
    price, total, now = detail.estimate.price, detail.estimate.total, detail.explanation
    seats = detail.demand.seats
    if now.asks is None:
        return now.sentence()
    if price is None or total is None:
        lowest = format_usdc(now.asks.lowest_micro_usdc)
        return f"The lowest ask is {lowest} USDC per hour, above the maximum."
    free = "" if now.matching else " Nobody is free now: it would wait."
    if seats > 1:
        each = " for each node"
        if now.matching < seats:
            free = f" {now.matching} of {seats} nodes are free now: it would wait."
    else:
        each = ""
    return (
        f"Likely {format_usdc(price.expected_micro_usdc)} USDC per hour{each}, "
        f"{format_usdc(total.expected_micro_usdc)} USDC for the whole time limit.{free}"
    )
