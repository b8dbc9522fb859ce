"""The coordinator's side of a sealed task: between accept and escrow it waits for the client's key.

No money is locked meanwhile, so a client that has gone costs nobody anything but the node's patience,
which has a limit. A retry on another node needs another wrapped key.
"""

from dataclasses import replace

from .task import Ending, Phase, Task

# A client that submitted and stayed answers within a second. One that went away has this long to come
# back (`neurogrid keys serve`) while a node holds its resources for nothing.
KEY_LIMIT_MS = 10 * 60_000
KEY_MISSING = Ending(
    "KEY_MISSING",
    f"The key to the sealed inputs did not come within {KEY_LIMIT_MS // 60_000} min of the award.",
)


def needs_key(task: Task) -> bool:
    """Whether the task waits for the key to its inputs, wrapped to its node."""
    lease = task.lease
    return (
        task.sealed
        and task.phase is Phase.STARTING
        and lease is not None
        and not lease.wrapped_key
        and not task.cancel_requested
    )


def is_overdue(task: Task, now_ms: int) -> bool:
    """Whether it has waited for too long."""
    return needs_key(task) and now_ms - task.since_ms > KEY_LIMIT_MS


def with_key(task: Task, wrapped_key: str) -> Task:
    """The task once the key is here."""
    assert task.lease is not None, "the key is for its lease"
    return replace(task, lease=replace(task.lease, wrapped_key=wrapped_key))
