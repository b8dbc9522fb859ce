"""``/tasks/{id}/auctions``: who bid for a task, who won, and at what price."""

from typing import Annotated

from fastapi import Depends, FastAPI
from msgspec import Meta, Struct
from starlette.responses import Response

from neurogrid_marketplace.money import format_usdc

from ...services.auctions import Auctions, HeldAuction
from ..auth import Caller, Gate
from ..envelope import iso, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Amount, Time


class BidView(Struct, frozen=True):
    """One node's offer."""

    node_id: str
    wallet: str
    price_per_hour: Annotated[Amount, Meta(description="What the node asked.")]
    start_seconds: Annotated[float, Meta(description="How soon the job would run, as it said.")]
    score: Annotated[
        Amount,
        Meta(
            description="The price, and for each second of waiting a thousandth of the task's "
            "highest price. The lowest wins."
        ),
    ]
    won: bool


class AuctionView(Struct, frozen=True):
    """One auction of the task.

    ``price_per_hour`` is what the winner is paid: the second-lowest score less the winner's own
    waiting part, so that nobody gains by asking for more than the work is worth to him.
    """

    lease_id: str
    held_at: Time
    max_price_per_hour: Amount | None
    price_per_hour: Amount
    winner: str
    bids: Annotated[list[BidView], Meta(description="Best first.")]


class AuctionListView(Struct, frozen=True):
    """One for each lease of the task, oldest first."""

    task_id: str
    auctions: list[AuctionView]


def add_auction_route(app: FastAPI, auctions: Auctions, gate: Gate, schemas: Schemas) -> None:
    """Add the route."""

    @app.get(
        f"{API}/tasks/{{task_id}}/auctions",
        tags=["Results"],
        summary="See who bid for a task",
        response_class=Response,
        responses={
            200: schemas.answer(AuctionListView, "One for each lease, oldest first."),
            **errors("UNAUTHORIZED", "NOT_FOUND"),
        },
    )
    async def list_auctions(task_id: str, caller: Annotated[Caller, Depends(gate)]) -> Response:
        """Every bid that was taken, as its node signed it; the receipt holds the same bids."""
        held = await auctions.of_task(caller.account, task_id)
        return success(AuctionListView(task_id, [_view(auction) for auction in held]))


def _view(held: HeldAuction) -> AuctionView:
    lease = held.lease.lease
    demand = held.demand
    return AuctionView(
        lease_id=lease.lease_id,
        held_at=iso(held.lease.created_at_ms),
        max_price_per_hour=format_usdc(demand.max_price_micro_usdc_per_hour) if demand else None,
        price_per_hour=format_usdc(lease.price_micro_usdc_per_hour),
        winner=lease.node_id,
        bids=[
            BidView(
                node_id=ranked.node_id,
                wallet=ranked.bid.wallet,
                price_per_hour=format_usdc(ranked.bid.price_micro_usdc_per_hour),
                start_seconds=ranked.bid.start_ms / 1000,
                score=format_usdc(ranked.score),
                won=ranked.bid_hash == lease.bid_hash,
            )
            for ranked in held.ranking
        ],
    )
