"""What the native API answers of accounts and of itself: shapes and documentation."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .schemas import Amount


class BalanceView(Struct, frozen=True):
    """An account's money in USDC.

    ``available`` is what new tasks can spend; ``held`` is promised to tasks without an escrow;
    ``escrowed`` is locked on the chain; ``wallet`` is the owner's own, not deposited;
    ``operator_limit`` is what this coordinator may still open escrows for.
    """

    available: Amount
    held: Amount
    escrowed: Amount
    wallet: Amount
    operator_limit: Amount


class AccountView(Struct, frozen=True):
    """Who the key belongs to, and its money."""

    id: str
    name: str
    wallet: str
    currency: Literal["USDC"]
    balance: BalanceView


class StatusView(Struct, frozen=True):
    """How the coordinator is."""

    status: Literal["ok", "degraded"]
    version: str
    network: str
    market: Annotated[Literal["up", "down"], Meta(description="The process that holds auctions.")]
    nodes: Annotated[int | None, Meta(description="Connected now.")]
    connections: Annotated[
        int, Meta(description="Of nodes and strangers, those in their handshake included.")
    ]
    lease_streams: Annotated[int, Meta(description="Open streams of leases.")]
    refused: Annotated[
        dict[str, int],
        Meta(
            description="Connections refused or cut off since the market process began, by reason."
        ),
    ]
    tasks: dict[str, int]
    differences: Annotated[
        int,
        Meta(description="Between the coordinator's books and the chain, unresolved."),
    ]
    uptime_seconds: int
