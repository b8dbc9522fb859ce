"""What the native API answers of workflows: shapes and documentation."""

from typing import Annotated

from msgspec import Meta, Struct

from .schemas import Amount, TaskStatus, Time
from .task_schemas import TaskSummary


class WorkflowTaskView(TaskSummary, frozen=True):
    """A task of a workflow; ``key``: its name there."""

    key: str
    depends_on: list[str]


class WorkflowSummary(Struct, frozen=True):
    """A workflow in a list; ``counts``: status -> how many of its tasks are in it."""

    id: str
    name: str
    status: Annotated[
        TaskStatus,
        Meta(
            description="`failed` when all tasks have ended and one failed; else `cancelled` when one "
            "was cancelled; `completed` when all completed."
        ),
    ]
    created_at: Time
    completed_at: Time | None
    counts: dict[str, int]
    cost_usdc: Annotated[Amount, Meta(description="Of its tasks that have ended.")]


class WorkflowView(WorkflowSummary, frozen=True):
    """A workflow with its tasks, each after those that it depends on."""

    tasks: list[WorkflowTaskView]


class WorkflowListView(Struct, frozen=True):
    """A page of workflows; ``total`` counts all of them."""

    workflows: list[WorkflowSummary]
    total: int
    limit: int
    offset: int
