"""Tasks that are asked for otherwise while they wait, and executed once more when they have ended."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from ..models import Task
from ..task_body import Priority, Where
from .transport import Transport


class Changes(TypedDict, total=False):
    """What is asked for otherwise, as in `Tasks.create`; what is left out stays as it is.

    None takes away what was said of ``max_total_cost``, ``deadline`` and ``queue_timeout_seconds``, which counts
    from when the task was queued. Of ``resource_requirements`` those that are named change; ``gpu_count`` 0 takes
    away all about GPUs. ``where`` comes in place of all conditions before.
    """

    name: str
    max_price_per_hour: str
    max_total_cost: str | None
    timeout_seconds: int
    priority: Priority
    priority_reason: str
    deadline: datetime | None
    deadline_policy: Literal["end", "run"]
    queue_timeout_seconds: int | None
    resource_requirements: Mapping[str, Any]
    regions: Sequence[str]
    where: Where
    wait_for_node: bool


class TaskChanges:
    """Changes of tasks; a part of `Tasks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def update(
        self, task_id: str, *, idempotency_key: str | None = None, **changes: Unpack[Changes]
    ) -> Task:
        """Ask otherwise for a task that waits for a node; see `Changes` for what may be said.

        It keeps its place in the queue, and the money that is held for it becomes more or less. What the job does
        can't be changed: cancel it, and create another.

        Args:
            idempotency_key: the same key with the same change is one change; each call carries one of its own,
                or yours.

        Raises:
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: nothing was changed.
            ConflictError: it has begun, has ended, or is a batch's.
            TaskNotFoundError: there is no such task of this account.
        """
        return await self._send("PATCH", f"/tasks/{task_id}", changes, task_id, idempotency_key)

    async def execute(
        self, task_id: str, *, idempotency_key: str | None = None, **changes: Unpack[Changes]
    ) -> Task:
        """Have a task that has ended run once more: another task, whose ``execution_of`` is this one's id.

        One that waits or runs is under way already, and is returned as it is. See `Changes` for what may be asked
        for otherwise.

        Args:
            idempotency_key: as in `update`.

        Raises:
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: nothing was executed.
            ConflictError: its inputs are sealed; or it goes on, and was to be changed.
            TaskNotFoundError: there is no such task of this account.
        """
        path = f"/tasks/{task_id}/execute"
        return await self._send("POST", path, changes, task_id, idempotency_key)

    async def _send(
        self, method: str, path: str, changes: Changes, task_id: str, key: str | None
    ) -> Task:
        names = {"where": "constraints"}
        body = {
            names.get(name, name): value.isoformat() if isinstance(value, datetime) else value
            for name, value in changes.items()
        }
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        return await self._transport.call(
            Task, method, path, json=body, headers=headers, task_id=task_id
        )
