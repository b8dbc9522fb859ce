"""What becomes of a batch and of each of its tasks; pure, without a clock.

A batch is a list of requests, its items. A few of them at a time are released: made tasks of the account,
which the market treats like any other. `batch_runner` performs what is decided here.
"""

from dataclasses import dataclass
from enum import StrEnum

from neurogrid_marketplace.task import Phase

# What one batch may have in the market at a time, and has where nobody says.
CONCURRENCY_MAX = 256
CONCURRENCY = 16
# How often an item may be tried again after a task of its failed.
RETRIES_MAX = 10


class BatchState(StrEnum):
    """Where a batch is.

    ``loading``: its items are being stored, and nobody sees it yet; ``pending``: it was not started.
    """

    LOADING = "loading"
    PENDING = "pending"
    RUNNING = "running"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ItemState(StrEnum):
    """Where an item is; ``released``: there is a task for it that has not ended, as far as is known."""

    PENDING = "pending"
    RELEASED = "released"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Afford(StrEnum):
    """Whether a batch's budget has room for one more task."""

    NOW = "now"
    # Those that run may turn out cheaper than what is held for them.
    LATER = "later"
    NEVER = "never"


ENDED = frozenset({BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED})


@dataclass(frozen=True, slots=True)
class Counts:
    """How many items of a batch are in each state."""

    pending: int = 0
    released: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.pending + self.released + self.completed + self.failed + self.cancelled


def room(state: BatchState, counts: Counts, max_concurrency: int) -> int:
    """How many items may be released now."""
    if state is not BatchState.RUNNING:
        return 0
    return max(0, min(counts.pending, max_concurrency - counts.released))


def ending(state: BatchState, counts: Counts) -> BatchState | None:
    """What the batch has come to; None while it has not ended."""
    if state not in (BatchState.RUNNING, BatchState.CANCELLING) or counts.pending + counts.released:
        return None
    if state is BatchState.CANCELLING and counts.cancelled:
        return BatchState.CANCELLED
    if counts.failed:
        return BatchState.FAILED
    return BatchState.CANCELLED if counts.cancelled else BatchState.COMPLETED


def after_task(phase: Phase, *, attempts: int, retries: int, cancelling: bool) -> ItemState:
    """What a task that has ended makes of its item; ``pending``: it is tried again.

    Args:
        attempts: how many tasks the item has had since somebody started it, this one included.
    """
    if phase is Phase.COMPLETED:
        return ItemState.COMPLETED
    if phase is Phase.CANCELLED:
        return ItemState.CANCELLED
    if cancelling or attempts > retries:
        return ItemState.FAILED
    return ItemState.PENDING


def affords(max_cost_micro_usdc: int | None, *, spent: int, held: int, needed: int) -> Afford:
    """Whether one more task fits into the budget.

    Args:
        spent: what ended tasks of the batch have cost, micro-USDC.
        held: what those that have not ended may cost at most.
        needed: what the next one may cost at most.
    """
    if max_cost_micro_usdc is None or spent + held + needed <= max_cost_micro_usdc:
        return Afford.NOW
    return Afford.LATER if held else Afford.NEVER
