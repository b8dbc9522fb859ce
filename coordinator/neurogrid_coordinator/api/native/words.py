"""The words of the documents for what the product calls otherwise."""

from typing import Literal

from neurogrid_marketplace.task import Phase

from .schemas import TaskStatus

PriorityWord = Literal["high", "normal", "low"]

STATUS_OF_PHASE: dict[Phase, TaskStatus] = {
    Phase.WAITING: "pending",
    Phase.QUEUED: "pending",
    Phase.MATCHING: "pending",
    Phase.AWARDED: "pending",
    Phase.STARTING: "pending",
    Phase.RUNNING: "running",
    Phase.VERIFYING: "running",
    Phase.COMPLETED: "completed",
    Phase.FAILED: "failed",
    Phase.CANCELLED: "cancelled",
    Phase.EXPIRED: "failed",
}
PRIORITY_OF_WORD: dict[PriorityWord, int] = {"low": 2, "normal": 5, "high": 8}
_WORD_OF_PRIORITY = {number: word for word, number in PRIORITY_OF_WORD.items()}


def phases_of(status: TaskStatus) -> frozenset[Phase]:
    """The phases that are shown as this status."""
    return frozenset(phase for phase, word in STATUS_OF_PHASE.items() if word == status)


def priority_number(priority: PriorityWord | int) -> int:
    """1 to 10."""
    return priority if isinstance(priority, int) else PRIORITY_OF_WORD[priority]


def priority_word(number: int) -> PriorityWord | int:
    """The word where there is one, else the number."""
    return _WORD_OF_PRIORITY.get(number, number)
