"""What the native API answers of accounts and of itself: shapes and documentation."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from ...services.health import Health
from .schemas import Amount, Time


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
    roles: Annotated[list[str], Meta(description="What its keys may act as at most.")]
    signs_writes: Annotated[
        bool, Meta(description="Whether all that it changes has to be signed by its wallet.")
    ]
    currency: Literal["USDC"]
    balance: BalanceView


class AccountChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What an account says of itself."""

    signs_writes: Annotated[
        bool,
        Meta(
            description="Whether the wallet has to sign every request that changes something, not only "
            "what moves money."
        ),
    ]


class AccountSummary(Struct, frozen=True):
    """An account as the operator sees it."""

    id: str
    name: str
    wallet: str
    roles: list[str]
    created_at: Time


class AccountListView(Struct, frozen=True):
    """Some accounts; ``total`` counts all."""

    accounts: list[AccountSummary]
    total: int
    limit: int
    offset: int


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
    services: dict[str, Health]
    last_health_check: Time


class ServiceStatusView(Struct, frozen=True):
    """How a part of the coordinator is. ``details`` are its own: what was measured, and its last error."""

    service: str
    status: Health
    details: dict[str, Any]
    last_health_check: Time
