"""Providers: wallets with machines in the market."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from .listed import Listed
from .nodes import NodeInfo


class ProviderGpus(Struct, frozen=True, kw_only=True):
    """A provider's GPUs of one model; ``memory_gb``: of the smallest of them."""

    model: str
    memory_gb: float = 0
    count: int = 1
    free: int = 0


class ProviderEarned(Struct, frozen=True, kw_only=True):
    """What a provider was paid through this coordinator, the market's fee included."""

    total: Decimal = Decimal(0)
    currency: str = "USDC"
    last_30_days: Decimal = Decimal(0)


class ProviderInfo(Struct, frozen=True, kw_only=True):
    """A provider.

    Attributes:
        id: its wallet.
        price_per_hour: what its cheapest machine asks for what was looked for.
        performance_score: its worst machine's, 0 to 100.
        stake: at risk on the chain; None while it is not known.
        nodes_available: how many machines take work now and have free what was looked for.
        cpu_cores, ram_gb, storage_gb: of its largest machine.
        last_seen, jobs_paid, earnings, nodes: where one provider is asked for.
    """

    id: str
    status: Literal["online", "offline", "busy"]
    locations: list[str] = []
    price_per_hour: Decimal | None = None
    performance_score: float | None = None
    stake: Decimal | None = None
    node_count: int = 0
    nodes_available: int = 0
    gpus: list[ProviderGpus] = []
    cpu_cores: float = 0
    ram_gb: float = 0
    storage_gb: float = 0
    last_seen: datetime | None = None
    jobs_paid: int | None = None
    earnings: ProviderEarned | None = None
    nodes: list[NodeInfo] = []


class ProviderPage(Listed[ProviderInfo], Struct, frozen=True, kw_only=True):
    """Some providers, the cheapest first; ``total`` counts all that fit."""

    providers: list[ProviderInfo]
    total: int
    limit: int = 0
    offset: int = 0
