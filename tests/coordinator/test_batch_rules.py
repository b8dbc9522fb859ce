import pytest

from neurogrid_coordinator.batches.batch_rules import (
    Afford,
    BatchState,
    Counts,
    ItemState,
    affords,
    after_task,
    ending,
    room,
)
from neurogrid_marketplace.task import Phase


def test_no_more_are_released_than_wait_or_may_be_there_at_a_time() -> None:
    assert room(BatchState.RUNNING, Counts(pending=10), 3) == 3
    assert room(BatchState.RUNNING, Counts(pending=10, released=2), 3) == 1
    assert room(BatchState.RUNNING, Counts(pending=1), 3) == 1
    # Its concurrency was higher before.
    assert room(BatchState.RUNNING, Counts(pending=10, released=5), 3) == 0


@pytest.mark.parametrize("state", set(BatchState) - {BatchState.RUNNING})
def test_only_a_running_batch_releases(state: BatchState) -> None:
    assert room(state, Counts(pending=10), 3) == 0


def test_a_batch_ends_as_what_its_tasks_came_to() -> None:
    running, cancelling = BatchState.RUNNING, BatchState.CANCELLING
    assert ending(running, Counts(pending=1)) is None
    assert ending(running, Counts(released=1, failed=3)) is None
    assert ending(running, Counts(completed=3)) is BatchState.COMPLETED
    assert ending(running, Counts(completed=3, failed=1, cancelled=1)) is BatchState.FAILED
    assert ending(running, Counts(completed=3, cancelled=1)) is BatchState.CANCELLED
    assert ending(cancelling, Counts(failed=1, cancelled=1)) is BatchState.CANCELLED
    # Its last tasks ended before they heard of it.
    assert ending(cancelling, Counts(completed=3)) is BatchState.COMPLETED
    assert ending(BatchState.PENDING, Counts(completed=3)) is None
    assert ending(BatchState.COMPLETED, Counts(completed=3)) is None


@pytest.mark.parametrize(
    ("phase", "attempts", "cancelling", "after"),
    [
        (Phase.COMPLETED, 1, False, ItemState.COMPLETED),
        (Phase.COMPLETED, 1, True, ItemState.COMPLETED),
        (Phase.CANCELLED, 1, False, ItemState.CANCELLED),
        (Phase.FAILED, 1, False, ItemState.PENDING),
        (Phase.EXPIRED, 2, False, ItemState.PENDING),
        (Phase.FAILED, 3, False, ItemState.FAILED),
        (Phase.FAILED, 1, True, ItemState.FAILED),
    ],
)
def test_what_fails_is_tried_again_as_often_as_was_asked_for(
    phase: Phase, attempts: int, cancelling: bool, after: ItemState
) -> None:
    assert after_task(phase, attempts=attempts, retries=2, cancelling=cancelling) is after


def test_a_budget_holds_for_what_is_spent_held_and_needed_together() -> None:
    assert affords(None, spent=10**9, held=10**9, needed=10**9) is Afford.NOW
    assert affords(10, spent=3, held=3, needed=4) is Afford.NOW
    assert affords(10, spent=3, held=3, needed=5) is Afford.LATER
    assert affords(10, spent=6, held=0, needed=5) is Afford.NEVER
