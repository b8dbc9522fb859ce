"""``/tasks/{id}/auctions``: who bid for a task, who won, and at what price."""

from typing import Annotated

from fastapi import Depends, FastAPI
from msgspec import Meta, Struct
from starlette.responses import Response

from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.calibration import calibrated_ms
from neurogrid_marketplace.money import format_usdc

from ...services.auctions import Auctions, HeldAuction
from ..auth import Caller, Gate
from ..envelope import iso, seconds_or_none, success
from ..openapi import Schemas, errors
from ..paths import API
from .schemas import Amount, Time


class BidView(Struct, frozen=True):
    """One node's offer."""

    node_id: str
    wallet: str
    price_per_hour: Annotated[Amount, Meta(description="What the node asked.")]
    start_seconds: Annotated[
        float, Meta(description="How soon the job would run, as it said: in half of all cases.")
    ]
    start_seconds_p95: Annotated[
        float | None, Meta(description="In 19 of 20 cases; null where it did not say.")
    ]
    start_factor: Annotated[
        float,
        Meta(
            description="How much longer than it said its last starts took; `start_seconds` counts "
            "so many times. 1: it starts as fast as it says."
        ),
    ]
    cached_gb: Annotated[
        float, Meta(description="Of the image and the inputs, what it has already, 10^9 bytes.")
    ]
    score: Annotated[
        Amount,
        Meta(
            description="The price, and for each second of waiting (`start_seconds` times "
            "`start_factor`) a thousandth of the task's highest price. The lowest wins."
        ),
    ]
    won: bool


class AuctionView(Struct, frozen=True):
    """One auction of the task.

    ``price_per_hour`` is what the winner is paid: the lowest score of another owner's node less the
    winner's own waiting part, so that nobody gains by asking for more than the work is worth to
    him. ``expected_start_seconds`` is what counted for the winner, ``started_after_seconds`` what
    the coordinator's clock saw from the open escrow on; null where it did not start, or could not
    be seen.
    """

    lease_id: str
    held_at: Time
    max_price_per_hour: Amount | None
    price_per_hour: Amount
    winner: str
    expected_start_seconds: float | None
    started_after_seconds: float | None
    sealed_bids: Annotated[
        bool, Meta(description="Nodes had committed to their bids before the first was shown.")
    ]
    unrevealed: Annotated[
        list[str], Meta(description="Nodes that had committed and showed no bid that counts.")
    ]
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
    won = next((ranked for ranked in held.ranking if ranked.bid_hash == lease.bid_hash), None)
    return AuctionView(
        lease_id=lease.lease_id,
        held_at=iso(held.lease.created_at_ms),
        max_price_per_hour=format_usdc(demand.max_price_micro_usdc_per_hour) if demand else None,
        price_per_hour=format_usdc(lease.price_micro_usdc_per_hour),
        winner=lease.node_id,
        expected_start_seconds=_expected_s(won) if won else None,
        started_after_seconds=seconds_or_none(held.lease.start_took_ms),
        sealed_bids=demand.sealed_bids if demand else False,
        unrevealed=list(held.unrevealed),
        bids=[
            BidView(
                node_id=ranked.node_id,
                wallet=ranked.bid.wallet,
                price_per_hour=format_usdc(ranked.bid.price_micro_usdc_per_hour),
                start_seconds=ranked.bid.start_ms / 1000,
                start_seconds_p95=seconds_or_none(ranked.bid.start_p95_ms or None),
                start_factor=ranked.start_factor_permille / 1000,
                cached_gb=ranked.bid.cached_bytes / 10**9,
                score=format_usdc(ranked.score),
                won=ranked.bid_hash == lease.bid_hash,
            )
            for ranked in held.ranking
        ],
    )


def _expected_s(ranked: RankedBid) -> float:
    return calibrated_ms(ranked.bid.start_ms, ranked.start_factor_permille) / 1000
