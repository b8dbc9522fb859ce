"""A provider's machines and what they do: what answers show. A GB is 10^9 bytes."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .schemas import Amount, Time


class SpecificationsView(Struct, frozen=True):
    """What a machine has in all, and what is free of it."""

    model: Annotated[str | None, Meta(description="Of its first GPU; null without one.")]
    memory_gb: Annotated[float | None, Meta(description="Of that GPU.")]
    gpu_count: int
    gpu_count_free: int
    cpu_cores: float
    cpu_cores_free: float
    ram_gb: float
    ram_gb_free: float
    storage_gb: float
    storage_gb_free: float


class PricingView(Struct, frozen=True):
    """What a machine asks, USDC per hour; the parts add up."""

    per_hour: Annotated[
        Amount, Meta(description="For one core, 0.5 GB of memory, and a GPU if it has any.")
    ]
    base: Amount
    per_cpu_core: Amount
    per_memory_gib: Amount
    per_gpu: Amount


class ResourceView(Struct, frozen=True):
    """A machine of yours."""

    id: Annotated[str, Meta(description="Its node's id.")]
    resource_type: Literal["gpu", "cpu"]
    status: Annotated[
        Literal["available", "busy", "paused", "offline"],
        Meta(description="`paused`: its owner lets it take no new work."),
    ]
    specifications: SpecificationsView
    pricing: PricingView
    location: str
    performance_score: float | None
    running_tasks: Annotated[int, Meta(description="By its latest word.")]
    last_seen: Time


class ResourceListView(Struct, frozen=True):
    """Some of them; ``total`` counts all that fit."""

    resources: list[ResourceView]
    total: int
    limit: int
    offset: int


class ProviderTaskView(Struct, frozen=True):
    """What a machine of yours does for somebody, or has not been paid for yet."""

    lease_id: str
    resource_id: str
    status: Annotated[
        str | None,
        Meta(
            description="By its machine's latest word: accepted, preparing, running, paused, stopping, collecting, "
            "reported, claiming or closed; null while it says nothing of it."
        ),
    ]
    progress: Annotated[float | None, Meta(description="Per cent, as the program itself says.")]
    metered_seconds: Annotated[float | None, Meta(description="What it has run.")]
    escrowed: Annotated[Amount, Meta(description="The most that it can pay.")]
    promised: Annotated[Amount, Meta(description="Signed so far.")]
    created_at: Annotated[Time, Meta(description="When it was awarded.")]


class ProviderTaskListView(Struct, frozen=True):
    """Some of them, newest first; ``total`` counts all."""

    tasks: list[ProviderTaskView]
    total: int
    limit: int
    offset: int
