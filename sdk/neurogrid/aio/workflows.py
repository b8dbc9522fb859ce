"""Workflows: tasks that are submitted together, and wait for each other."""

import uuid
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ..models import CancelResult, TaskOutput, Workflow, WorkflowPage
from ..task_body import task_body
from .inputs import answer_silence_s
from .pages import each
from .patience import until_ended
from .tasks import Tasks
from .transport import ABSENCE_MAX_S, Transport

_CONTAINER = "container"


class Workflows:
    """The account's workflows."""

    def __init__(self, transport: Transport, tasks: Tasks) -> None:
        self._transport = transport
        self._tasks = tasks

    async def submit(
        self,
        tasks: Mapping[str, Mapping[str, Any]],
        *,
        name: str = "",
        idempotency_key: str | None = None,
    ) -> Workflow:
        """Submit tasks that depend on each other: all are stored, or none.

            model = TaskOutput("train", "model.bin")
            client.workflows.submit({
                "train": {"docker_image": "my/train", "max_price_per_hour": "2.00"},
                "test": {
                    "docker_image": "my/test",
                    "max_price_per_hour": "0.50",
                    "inputs": {"model.bin": model},
                },
            })

        Args:
            tasks: name in the workflow (letters, digits, hyphens) -> the arguments of
                `Tasks.create`; ``depends_on`` and `TaskOutput` may use these names. With ``kind`` ("model" or
                "operation") the fields of such a task as docs/models.md and docs/kinds-of-tasks.md have
                them; a model's ``file`` may be a `TaskOutput`.
            idempotency_key: the same key with the same tasks returns the first workflow.

        Raises:
            InvalidRequestError, InsufficientFundsError, ProviderUnavailableError, ConflictError: see
                `Tasks.create`; nothing was stored. ``field`` begins with ``tasks.<name>.``.
        """
        inputs = {
            key: await self._tasks.references(task.get("inputs") or {})
            for key, task in tasks.items()
        }
        requests = {
            key: _container(task, inputs[key])
            if task.get("kind", _CONTAINER) == _CONTAINER
            else _by_name(task)
            for key, task in tasks.items()
        }
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        body = {"name": name, "tasks": requests}
        return await self._transport.call(
            Workflow,
            "POST",
            "/workflows",
            json=body,
            headers=headers,
            silence_s=answer_silence_s([item for each in inputs.values() for item in each]),
        )

    async def get(self, workflow_id: str) -> Workflow:
        """One workflow with its tasks.

        Raises:
            NotFoundError: there is no such workflow of this account.
        """
        return await self._transport.call(Workflow, "GET", f"/workflows/{workflow_id}")

    async def list(self, *, limit: int = 50, offset: int = 0) -> WorkflowPage:
        """The account's workflows without their tasks, newest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        return await self._transport.call(WorkflowPage, "GET", "/workflows", params=params)

    def iterate(self, *, page_size: int = 100) -> AsyncGenerator[Workflow]:
        """All workflows without their tasks, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(self.list, page_size)

    async def cancel(self, workflow_id: str) -> CancelResult:
        """Cancel all of its tasks that have not ended; delete it if all have.

        Raises:
            NotFoundError: there is no such workflow of this account.
            ConflictError: it can't be deleted yet; says why.
        """
        return await self._transport.call(CancelResult, "DELETE", f"/workflows/{workflow_id}")

    async def wait(self, workflow_id: str, *, timeout_s: float | None = None) -> Workflow:
        """The workflow once all of its tasks have ended.

        Raises:
            WaitTimeout: they have not after ``timeout_s``. They go on.
        """
        return await until_ended(
            lambda: self._transport.call(
                Workflow, "GET", f"/workflows/{workflow_id}", patience_s=ABSENCE_MAX_S
            ),
            timeout_s,
        )


def _container(task: Mapping[str, Any], inputs: list[dict[str, Any]]) -> dict[str, Any]:
    return task_body(
        **{
            **{name: value for name, value in task.items() if name not in ("where", "kind")},
            "constraints": task.get("where", ""),
            "inputs": inputs,
        }
    )


def _by_name(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task that asks a model or computes an operation, as the API takes it."""
    file = task.get("file")
    if not isinstance(file, TaskOutput):
        return dict(task)
    # Its name there says what it is here.
    name = file.path.rpartition("/")[2]
    return {**task, "file": {"from_task": file.task_id, "output": file.path, "path": name}}
