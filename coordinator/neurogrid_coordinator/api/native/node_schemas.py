"""What the native API answers of nodes and what is known of them: shapes and documentation.

A GB is 10^9 bytes.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from .schemas import Amount, Time


class GpuView(Struct, frozen=True):
    """A node's GPUs of its first model."""

    model: str
    memory: Annotated[str, Meta(examples=["24GB"])]
    compute_capability: str
    count: int


class NodeView(Struct, frozen=True):
    """A provider's machine as the market knows it."""

    id: Annotated[str, Meta(description="Its libp2p peer id.")]
    status: Literal["online", "offline", "busy"]
    region: str
    capabilities: list[str]
    gpu_info: GpuView | None
    performance_score: Annotated[
        float | None,
        Meta(
            description="0 to 100, from verified work; 50 for a newcomer; null of a node that left."
        ),
    ]
    start_factor: Annotated[
        float | None,
        Meta(
            description="What its word on how soon a job would run is multiplied by in auctions: "
            "its last starts took so many times as long. 1: it is taken at its word."
        ),
    ]
    last_seen: Time | None
    wallet: str
    software: str
    summary: str
    cpu_model: Annotated[
        str,
        Meta(
            description="Of its processors, as their maker names them. Empty: it is not known, or the node is "
            "several machines.",
            examples=["AMD EPYC 9554 64-Core Processor"],
        ),
    ]
    cpu_cores: float
    cpu_cores_free: float
    ram_gb: float
    ram_gb_free: float
    storage_gb: float
    storage_gb_free: float
    gpu_count: int
    gpu_count_free: int
    price_per_hour: Annotated[
        Amount, Meta(description="Its ask for one core, 0.5 GB of memory and no GPU.")
    ]
    accepting: bool
    enforcement: str


class Earnings(Struct, frozen=True):
    """What a node was paid through this coordinator."""

    total: Amount
    currency: Literal["USDC"]
    last_30_days: Amount


class NodeDetailView(NodeView, frozen=True):
    """A node with its record here."""

    owner: Annotated[str, Meta(description="The wallet that owns its provider account.")]
    current_load: Annotated[float, Meta(description="0 to 1: the part of its cores in use.")]
    total_tasks_completed: int
    uptime: Annotated[str, Meta(description="Of its connection.", examples=["15d 8h 32m"])]
    earnings: Earnings


class FindingView(Struct, frozen=True):
    """Something that the coordinator has seen a node do."""

    at: Time
    kind: Annotated[
        str,
        Meta(
            description="verified, refuted, failed, challenge_passed, challenge_failed, "
            "gpu_shared or model_false."
        ),
    ]
    outcome: Annotated[str | None, Meta(description="Of a failed run.")]
    reason: str
    remembered: Annotated[float, Meta(description="1 when it happened; halves with time.")]
    effect: Annotated[int, Meta(description="The score less what it would be without this.")]
    scored: Annotated[bool, Meta(description="False: it is recorded and does not count.")]


class ReputationView(Struct, frozen=True):
    """A node's score and what it is made of."""

    node_id: str
    score: Annotated[int, Meta(description="0 to 1000; 0 while it is suspended.")]
    neutral_score: Annotated[int, Meta(description="What a newcomer has.")]
    performance_score: Annotated[float, Meta(description="The same, 0 to 100.")]
    suspended: Annotated[
        bool, Meta(description="Proven wrong twice within a short time: asked for nothing.")
    ]
    stake: Annotated[
        Amount | None, Meta(description="At risk on the chain; null while it is not known.")
    ]
    half_life_days: int
    tasks_completed: int
    verified_share: Annotated[
        float | None, Meta(description="Of its completed runs; null before any.")
    ]
    counts: Annotated[dict[str, int], Meta(description="Findings by kind, forgotten ones too.")]
    findings: Annotated[list[FindingView], Meta(description="Newest first.")]
    total: Annotated[int, Meta(description="Of all findings.")]


class EvidenceView(Struct, frozen=True):
    """A fact about a node's hardware."""

    at: Time
    kind: Annotated[str, Meta(description="gpu_shared: another node offers the same GPU.")]
    details: dict[str, Any]


class EvidenceListView(Struct, frozen=True):
    """Facts about a node's hardware."""

    node_id: str
    evidence: list[EvidenceView]


class CommitmentView(Struct, frozen=True):
    """One day's secret of the spot checks."""

    day: Annotated[str, Meta(description="UTC.", examples=["2026-01-15"])]
    commitment: Annotated[
        str, Meta(description='SHA-256 of "neurogrid spot checks:" and the secret.')
    ]
    secret: Annotated[str | None, Meta(description="Hexadecimal, two days after.")]


class CommitmentListView(Struct, frozen=True):
    """Of the last month and the coming week."""

    days: list[CommitmentView]


class NodeListView(Struct, frozen=True):
    """A page of nodes; ``total`` counts all that match."""

    nodes: list[NodeView]
    total: int
    limit: int
    offset: int
