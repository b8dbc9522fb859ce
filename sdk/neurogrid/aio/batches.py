"""Batches: many tasks that are sent together."""

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any, Literal

from ..models.batches import Batch, BatchEnd, BatchPage, BatchTask, BatchTaskPage
from .artifacts import Artifacts
from .pages import each
from .patience import until_ended
from .transport import ABSENCE_MAX_S, Transport

# Ten thousand tasks are looked at before the answer begins.
_CREATE_SILENCE_S = 300.0


class Batches:
    """The account's batches. ``batch_id`` is the coordinator's, or your own."""

    def __init__(self, transport: Transport, artifacts: Artifacts) -> None:
        self._transport = transport
        self._artifacts = artifacts

    async def create(
        self,
        tasks: Sequence[Mapping[str, Any]] | None = None,
        *,
        csv: str | PathLike[str] | None = None,
        input_file: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Batch:
        """Send many tasks together.

            client.batches.create(
                [{"id": "a", "env": {"WORD": "one"}}, {"id": "b", "env": {"WORD": "two"}}],
                defaults={"docker_image": "my/job", "max_price_per_hour": "1.00"},
                max_concurrency=5,
            )

        Args:
            tasks: fields of ``POST /api/v1/tasks`` each, and ``id``.
            csv: in their place: a CSV file of this machine, which is uploaded.
            input_file: in their place: a CSV file in the account's folder on the coordinator.
            options: other fields of ``POST /api/v1/batches``: id, name, description, max_concurrency,
                parallel, retries, max_cost, execute.
            idempotency_key: the same key with the same arguments returns the first batch.

        Raises:
            InvalidRequestError: a task is wrong; ``field`` names it. Nothing was stored.
            ConflictError: another batch has this id.
        """
        body: dict[str, Any] = {"defaults": dict(defaults or {}), **options}
        if tasks is not None:
            body["tasks"] = [dict(task) for task in tasks]
        if csv is not None:
            body["csv"] = {"sha256": (await self._artifacts.upload(csv)).sha256}
        if input_file is not None:
            body["input_file"] = input_file
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return await self._transport.call(
            Batch, "POST", "/batches", json=body, headers=headers, silence_s=_CREATE_SILENCE_S
        )

    async def get(self, batch_id: str) -> Batch:
        """One batch.

        Raises:
            NotFoundError: there is no such batch of this account.
        """
        return await self._transport.call(Batch, "GET", f"/batches/{batch_id}")

    async def list(
        self, *, status: str | None = None, limit: int = 50, offset: int = 0
    ) -> BatchPage:
        """The account's batches, newest first."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if status is not None:
            params["status"] = status
        return await self._transport.call(BatchPage, "GET", "/batches", params=params)

    def iterate(self, *, status: str | None = None, page_size: int = 100) -> AsyncGenerator[Batch]:
        """All batches that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.list, status=status), page_size)

    async def tasks(
        self, batch_id: str, *, status: str | None = None, limit: int = 100, offset: int = 0
    ) -> BatchTaskPage:
        """A batch's tasks, in its order."""
        params: dict[str, str | int] = {"limit": limit, "offset": offset}
        if status is not None:
            params["status"] = status
        return await self._transport.call(
            BatchTaskPage, "GET", f"/batches/{batch_id}/tasks", params=params
        )

    def iterate_tasks(
        self, batch_id: str, *, status: str | None = None, page_size: int = 100
    ) -> AsyncGenerator[BatchTask]:
        """All of a batch's tasks that fit, each once, however many there are; ``page_size``: how many one request asks for."""
        return each(partial(self.tasks, batch_id, status=status), page_size)

    async def results(self, batch_id: str, *, format: Literal["csv", "jsonl"] = "csv") -> bytes:
        """What became of each task, a line each."""
        return (
            await self._transport.send(
                "GET", f"/batches/{batch_id}/results", params={"format": format}
            )
        ).content

    async def execute(self, batch_id: str) -> Batch:
        """Start a batch that was made with ``execute=False``."""
        return await self._transport.call(Batch, "POST", f"/batches/{batch_id}/execute")

    async def cancel(self, batch_id: str) -> Batch:
        """Let nothing more of it begin, and stop what runs."""
        return await self._transport.call(Batch, "POST", f"/batches/{batch_id}/cancel")

    async def retry(
        self, batch_id: str, *, cancelled: bool = False, max_cost: str | None = None
    ) -> Batch:
        """Try again what failed, and with ``cancelled`` what was cancelled.

        Raises:
            ConflictError: it has not ended, or nothing failed.
        """
        body = {"cancelled": cancelled, "max_cost": max_cost}
        return await self._transport.call(Batch, "POST", f"/batches/{batch_id}/retry", json=body)

    async def delete(self, batch_id: str) -> BatchEnd:
        """Cancel a batch that runs; delete one that has ended, and its tasks once they are settled."""
        return await self._transport.call(BatchEnd, "DELETE", f"/batches/{batch_id}")

    async def wait(
        self,
        batch_id: str,
        *,
        timeout_s: float | None = None,
        seen: Callable[[Batch], object] = lambda batch: None,
    ) -> Batch:
        """The batch once all of its tasks have ended; ``seen`` is shown it at each look.

        Raises:
            WaitTimeout: they have not after ``timeout_s``. They go on.
        """

        async def look() -> Batch:
            found = await self._transport.call(
                Batch, "GET", f"/batches/{batch_id}", patience_s=ABSENCE_MAX_S
            )
            seen(found)
            return found

        return await until_ended(look, timeout_s)
