"""A provider's machines, and what they do."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from .listed import Listed


class Specifications(Struct, frozen=True, kw_only=True):
    """What a machine has in all, and what is free of it; ``model`` and ``memory_gb``: of its first GPU."""

    model: str | None = None
    memory_gb: float | None = None
    gpu_count: int = 0
    gpu_count_free: int = 0
    cpu_cores: float = 0
    cpu_cores_free: float = 0
    ram_gb: float = 0
    ram_gb_free: float = 0
    storage_gb: float = 0
    storage_gb_free: float = 0


class Pricing(Struct, frozen=True, kw_only=True):
    """What a machine asks, USDC per hour; ``per_hour``: for one core, 0.5 GB, and a GPU if it has any."""

    per_hour: Decimal
    base: Decimal = Decimal(0)
    per_cpu_core: Decimal = Decimal(0)
    per_memory_gib: Decimal = Decimal(0)
    per_gpu: Decimal = Decimal(0)


class Resource(Struct, frozen=True, kw_only=True):
    """A machine; ``id``: its node's."""

    id: str
    resource_type: Literal["gpu", "cpu"]
    status: Literal["available", "busy", "paused", "offline"]
    specifications: Specifications
    pricing: Pricing
    location: str = ""
    performance_score: float | None = None
    running_tasks: int = 0
    last_seen: datetime | None = None


class ResourcePage(Listed[Resource], Struct, frozen=True, kw_only=True):
    """Some machines; ``total`` counts all that fit."""

    resources: list[Resource]
    total: int
    limit: int = 0
    offset: int = 0


class ProviderTask(Struct, frozen=True, kw_only=True):
    """What a machine does for somebody.

    Attributes:
        status, progress, metered_seconds: by the machine's latest word; None while it says nothing of it.
    """

    lease_id: str
    resource_id: str
    escrowed: Decimal
    promised: Decimal
    created_at: datetime
    status: str | None = None
    progress: float | None = None
    metered_seconds: float | None = None


class ProviderTaskPage(Listed[ProviderTask], Struct, frozen=True, kw_only=True):
    """Some of them, newest first; ``total`` counts all."""

    tasks: list[ProviderTask]
    total: int
    limit: int = 0
    offset: int = 0
