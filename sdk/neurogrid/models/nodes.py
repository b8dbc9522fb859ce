"""Nodes, and what is known of them."""

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from .listed import Listed


class GpuInfo(Struct, frozen=True, kw_only=True):
    """A node's GPUs: ``count`` of ``model``."""

    model: str
    memory: str = ""
    compute_capability: str = ""
    count: int = 1


class NodeInfo(Struct, frozen=True, kw_only=True):
    """A provider's machine.

    Attributes:
        start_factor: what its word on its starts is multiplied by in auctions; 1: it holds.
        cpu_model: of its processors, as their maker names them; "" where it is not known.
    """

    id: str
    status: Literal["online", "offline", "busy"]
    region: str = ""
    capabilities: list[str] = []
    gpu_info: GpuInfo | None = None
    performance_score: float | None = None
    start_factor: float | None = None
    last_seen: datetime | None = None
    wallet: str = ""
    software: str = ""
    summary: str = ""
    cpu_model: str = ""
    cpu_cores: float = 0
    cpu_cores_free: float = 0
    ram_gb: float = 0
    ram_gb_free: float = 0
    storage_gb: float = 0
    price_per_hour: Decimal | None = None
    current_load: float | None = None
    total_tasks_completed: int | None = None


class NodePage(Listed[NodeInfo], Struct, frozen=True, kw_only=True):
    """Some of the market's nodes; ``total`` counts all that match."""

    nodes: list[NodeInfo]
    total: int
    limit: int = 0
    offset: int = 0


class NodeFinding(Struct, frozen=True, kw_only=True):
    """Something that the coordinator has seen a node do.

    Attributes:
        kind: verified, refuted, failed, challenge_passed, challenge_failed, gpu_shared or model_false.
        remembered: what part of it is not forgotten, 0 to 1.
        effect: the score less what it would be without this.
        scored: False for what is recorded and does not count.
    """

    at: datetime
    kind: str
    reason: str = ""
    outcome: str | None = None
    remembered: float = 1.0
    effect: int = 0
    scored: bool = True


class NodeEvidence(Struct, frozen=True, kw_only=True):
    """A fact about a node's hardware.

    Attributes:
        kind: challenge_passed, challenge_failed or gpu_shared.
        details: of a challenge: ``challenge_id``, ``mark``, ``reason`` and ``evidence_sha256``; of
            a shared GPU: ``gpu`` and ``also_at``.
    """

    at: datetime
    kind: str
    details: dict[str, Any] = {}


class NodeEvidenceList(Struct, frozen=True, kw_only=True):
    """What was found out about a node's hardware, newest first."""

    node_id: str
    evidence: list[NodeEvidence] = []


class NodeReputation(Struct, frozen=True, kw_only=True):
    """A node's score and what it is made of.

    Attributes:
        score: 0 to 1000; ``neutral_score`` for a newcomer, 0 while it is suspended.
        stake: what its owner has at risk, USDC; None while it is not known.
        verified_share: of its completed runs; None before any.
        counts: findings by kind; ``findings`` are the newest of them, ``total`` counts all.
    """

    node_id: str
    score: int
    neutral_score: int = 500
    suspended: bool = False
    stake: Decimal | None = None
    half_life_days: int = 0
    tasks_completed: int = 0
    verified_share: float | None = None
    counts: dict[str, int] = {}
    findings: list[NodeFinding] = []
    total: int = 0
