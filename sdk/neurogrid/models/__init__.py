"""What the API answers with, as typed values.

Unknown fields are ignored, so that a newer coordinator can add some. Money is `Decimal` USDC, times
are aware datetimes.
"""

from .accounts import Account, Balance
from .auctions import AuctionInfo, Bid
from .market import (
    ClassPrices,
    Estimate,
    EstimateBalance,
    Explanation,
    MarketPrices,
    NearMiss,
    PriceHour,
    PriceRange,
    Relaxation,
    RelaxationStep,
    Survivors,
)
from .nodes import GpuInfo, NodeFinding, NodeInfo, NodePage, NodeReputation
from .tasks import (
    ENDED,
    Artifact,
    CancelResult,
    ComparatorInfo,
    FileRule,
    FurtherRun,
    InputFile,
    LeaseInfo,
    LogPage,
    OutputFile,
    ResourceRequirements,
    Task,
    TaskError,
    TaskOutput,
    TaskPage,
    TaskStatus,
    TaskUpdate,
    TimelineEntry,
    VerificationInfo,
)
from .workflows import Workflow, WorkflowPage, WorkflowTask

__all__ = [
    "ENDED",
    "Account",
    "Artifact",
    "AuctionInfo",
    "Balance",
    "Bid",
    "CancelResult",
    "ClassPrices",
    "ComparatorInfo",
    "Estimate",
    "EstimateBalance",
    "Explanation",
    "FileRule",
    "FurtherRun",
    "GpuInfo",
    "InputFile",
    "LeaseInfo",
    "LogPage",
    "MarketPrices",
    "NearMiss",
    "NodeFinding",
    "NodeInfo",
    "NodePage",
    "NodeReputation",
    "OutputFile",
    "PriceHour",
    "PriceRange",
    "Relaxation",
    "RelaxationStep",
    "ResourceRequirements",
    "Survivors",
    "Task",
    "TaskError",
    "TaskOutput",
    "TaskPage",
    "TaskStatus",
    "TaskUpdate",
    "TimelineEntry",
    "VerificationInfo",
    "Workflow",
    "WorkflowPage",
    "WorkflowTask",
]
