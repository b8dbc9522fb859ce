"""Operations: the market's own computations, which need no image and no command of yours."""

import uuid
from collections.abc import Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ..errors import NotFoundError, OperationFailed
from ..models import Task
from ..models.operations import OperationInfo, OperationList, OperationResult
from ..task_body import Priority, Where, task_body
from .runtime import blocking
from .tasks import Tasks
from .transport import Transport

# What an operation's program leaves, as the coordinator reads it too.
_RESULT_FILE = "result.json"


class Operations:
    """Asks for operations."""

    def __init__(self, transport: Transport, tasks: Tasks) -> None:
        self._transport = transport
        self._tasks = tasks

    async def list(self) -> Sequence[OperationInfo]:
        """Those there are, with the bounds of each parameter."""
        return (await self._transport.call(OperationList, "GET", "/operations")).operations

    async def submit(
        self,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        device_preference: str = "auto",
        name: str = "",
        priority: Priority = "normal",
        cpu_cores: float = 1,
        max_price_per_hour: str | None = None,
        timeout_seconds: int | None = None,
        queue_timeout_seconds: int | None = None,
        regions: Sequence[str] = (),
        where: Where = "",
        wait_for_node: bool = False,
        verification: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Task:
        """Ask for an operation as a task, which `Tasks` follows like any other.

        Args:
            parameters: those left out have defaults.
            max_price_per_hour: USDC; the coordinator's, if left out.
            others: as of `Tasks.create`.

        Raises:
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError: nothing was stored.
        """
        body = task_body(
            kind="operation",
            operation=operation,
            parameters=dict(parameters or {}),
            device_preference=device_preference,
            name=name,
            priority=priority,
            cpu_cores=cpu_cores,
            max_price_per_hour=max_price_per_hour,
            timeout_seconds=timeout_seconds,
            queue_timeout_seconds=queue_timeout_seconds,
            regions=regions,
            constraints=where,
            wait_for_node=wait_for_node,
            verification=verification,
        )
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return await self._transport.call(Task, "POST", "/tasks", json=body, headers=headers)

    async def run(
        self,
        operation: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        wait_s: float | None = None,
        **options: Any,
    ) -> OperationResult:
        """Ask for an operation, wait for it, and read its result.

        Args:
            wait_s: how long; None: as long as it takes.
            options: as of `submit`.

        Raises:
            WaitTimeout: it has not ended by then. It goes on.
            OperationFailed: it came to no result; ``task`` says why.
            others: see `submit`.
        """
        task = await self.submit(operation, parameters, **options)
        return await self.get_result(await self._tasks.wait(task.id, timeout_s=wait_s))

    async def get_result(self, task: Task) -> OperationResult:
        """What came of an operation that has ended.

        Raises:
            OperationFailed: nothing.
            IntegrityError: its file is not what its hash says.
        """
        if task.status != "completed":
            raise OperationFailed(task)
        with TemporaryDirectory() as folder:
            try:
                (path,) = await self._tasks.download(task.id, folder, paths=[_RESULT_FILE])
                return msgspec.json.decode(await blocking(path.read_bytes), type=OperationResult)
            except (NotFoundError, msgspec.DecodeError) as error:
                raise OperationFailed(task) from error
