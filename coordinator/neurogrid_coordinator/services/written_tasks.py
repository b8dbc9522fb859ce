"""A task that was read, checked and put into words in another process than the one that stores it."""

from collections.abc import Mapping
from typing import Any

import msgspec


class WrittenTask(msgspec.Struct, frozen=True, array_like=True):
    """All that can be known of a submission without the database and the market.

    It needs no other task and no artifact, nothing is known of it that is the account's, and it is not verified:
    what is not so is submitted in one process (`Tasks.submit`).

    Attributes:
        columns: of its row (`store.tasks.columns_of`); those of the account and its idempotency key are added later.
        waits_for_node: whether it is queued even if no known node could ever serve it.
    """

    columns: dict[str, Any]
    waits_for_node: bool

    @property
    def task_id(self) -> str:
        """The task's id."""
        return str(self.columns["id"])


class Offered:
    """A written task that comes with a request.

    Attributes:
        stored: whether it was; then the answer's body is what whoever wrote it has for that case.
    """

    __slots__ = ("stored", "task")

    def __init__(self, task: WrittenTask) -> None:
        self.task = task
        self.stored = False


# Of a request's scope: what is `Offered` with it.
OFFERED = "neurogrid.offered"


def offered(scope: Mapping[str, Any]) -> Offered | None:
    """The written task that comes with the request of this scope, if any does."""
    found = scope.get(OFFERED)
    return found if isinstance(found, Offered) else None
