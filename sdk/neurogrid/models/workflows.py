"""Workflows: several tasks that depend on each other."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct, field

from .listed import Listed
from .tasks import ENDED, Task, TaskStatus


class WorkflowTask(Task, frozen=True, kw_only=True):
    """A task of a workflow, without its details; ``key``: its name there."""

    key: str


class Workflow(Struct, frozen=True, kw_only=True):
    """Tasks that were submitted together.

    Attributes:
        status: ``failed`` when all tasks have ended and one failed; else ``cancelled`` when one was
            cancelled; ``completed`` when all completed.
        counts: status -> how many tasks are in it.
        cost: of its tasks that have ended, USDC.
        tasks: each after those that it depends on; empty in lists.
    """

    id: str
    status: TaskStatus
    created_at: datetime
    name: str = ""
    completed_at: datetime | None = None
    counts: dict[str, int] = {}
    cost: Decimal = field(name="cost_usdc", default=Decimal(0))
    tasks: list[WorkflowTask] = []

    @property
    def ended(self) -> bool:
        """Whether all of its tasks have ended."""
        return self.status in ENDED


class WorkflowPage(Listed[Workflow], Struct, frozen=True, kw_only=True):
    """Some of the account's workflows; ``total`` counts all of them."""

    workflows: list[Workflow]
    total: int
    limit: int = 0
    offset: int = 0
