"""Providers: what answers show. A GB is 10^9 bytes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .node_schemas import Earnings, NodeView
from .schemas import Amount, Time


class ProviderGpuView(Struct, frozen=True):
    """A provider's GPUs of one model."""

    model: str
    memory_gb: Annotated[float, Meta(description="Of the smallest of them.")]
    count: int
    free: int


class ProviderView(Struct, frozen=True):
    """A wallet with machines in the market. What is said of machines is said of those that fit."""

    id: Annotated[str, Meta(description="Its wallet, which owns the machines and is paid.")]
    status: Annotated[
        Literal["online", "offline", "busy"], Meta(description="Of its readiest machine.")
    ]
    locations: Annotated[list[str], Meta(examples=[["us-east"]])]
    price_per_hour: Annotated[
        Amount, Meta(description="What its cheapest machine asks for what was looked for.")
    ]
    performance_score: Annotated[
        float | None,
        Meta(description="0 to 100: its worst machine's; null of those that left."),
    ]
    stake: Annotated[
        Amount | None, Meta(description="At risk on the chain; null while it is not known.")
    ]
    node_count: int
    nodes_available: Annotated[
        int, Meta(description="How many take work now and have free what was looked for.")
    ]
    gpus: list[ProviderGpuView]
    cpu_cores: Annotated[float, Meta(description="Of its largest machine, as the next two.")]
    ram_gb: float
    storage_gb: float


class ProviderListView(Struct, frozen=True):
    """Some providers; ``total`` counts all that fit."""

    providers: list[ProviderView]
    total: int
    limit: int
    offset: int


class ProviderDetailView(ProviderView, frozen=True):
    """A provider with its machines and its record here."""

    last_seen: Time
    jobs_paid: Annotated[int, Meta(description="Runs that it was paid for here.")]
    earnings: Earnings
    nodes: Annotated[list[NodeView], Meta(description="In the order of their ids, 100 at most.")]
