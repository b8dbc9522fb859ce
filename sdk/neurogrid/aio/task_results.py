"""What a task's job printed, left and cost: its log, files, checkpoints, auctions and receipt."""

from collections.abc import AsyncGenerator, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, overload

import msgspec

from ..errors import IntegrityError, NotFoundError
from ..models import AuctionInfo, CheckpointInfo, LogPage, OutputFile, TaskMetrics
from .artifacts import Artifacts
from .runtime import blocking
from .task_streams import followed_log, stored_log
from .transport import Transport


class _OutputList(msgspec.Struct):
    outputs: list[OutputFile]


class _AuctionList(msgspec.Struct):
    auctions: list[AuctionInfo]


class _CheckpointList(msgspec.Struct):
    checkpoints: list[CheckpointInfo]


class _CheckpointFiles(msgspec.Struct):
    files: list[OutputFile]


class TaskResults:
    """What comes of tasks; a part of `Tasks`."""

    def __init__(self, transport: Transport, artifacts: Artifacts) -> None:
        self._transport = transport
        self._artifacts = artifacts

    async def get_metrics(self, task_id: str, limit: int = 240) -> TaskMetrics:
        """What a task's job uses while it runs, and has used when it has ended: processors, memory, disk, network, GPUs.

        Its nodes measure about every five seconds; some can't tell, and then there are no samples.

        Args:
            limit: of the newest samples so many; 0 for the sum alone.

        Raises:
            TaskNotFoundError: there is no such task of this account.
        """
        return await self._transport.call(
            TaskMetrics,
            "GET",
            f"/tasks/{task_id}/metrics",
            params={"limit": limit},
            task_id=task_id,
        )

    @overload
    async def get_logs(
        self, task_id: str, lines: int = 100, follow: Literal[False] = False
    ) -> str: ...

    @overload
    async def get_logs(
        self, task_id: str, lines: int = 100, *, follow: Literal[True]
    ) -> AsyncGenerator[str]: ...

    async def get_logs(
        self, task_id: str, lines: int = 100, follow: bool = False
    ) -> str | AsyncGenerator[str]:
        """What the job printed, standard output and error together.

        Args:
            lines: so many from the end.
            follow: from there on, piece by piece, until the job has ended and all of it was sent: iterate what you get.
        """
        if follow:
            return followed_log(self._transport, task_id, lines)
        return (
            await self._transport.call(
                LogPage, "GET", f"/tasks/{task_id}/logs", params={"lines": lines}, task_id=task_id
            )
        ).text

    def all_logs(self, task_id: str) -> AsyncGenerator[str]:
        """The whole log that is stored now, from its beginning, piece by piece."""
        return stored_log(self._transport, task_id)

    async def auctions(self, task_id: str) -> list[AuctionInfo]:
        """Who bid for the task and who won: one auction for each lease, oldest first."""
        return (
            await self._transport.call(
                _AuctionList, "GET", f"/tasks/{task_id}/auctions", task_id=task_id
            )
        ).auctions

    async def outputs(self, task_id: str) -> list[OutputFile]:
        """The files that the job left under /outputs; empty until it has completed."""
        return (
            await self._transport.call(
                _OutputList, "GET", f"/tasks/{task_id}/outputs", task_id=task_id
            )
        ).outputs

    async def read_output(
        self, task_id: str, path: str, *, max_bytes: int = 16 * 1024 * 1024
    ) -> bytes:
        """An output file's content, checked against its hash; `download` is for large ones.

        Raises:
            NotFoundError: the task has left no such file.
            IntegrityError: it is larger than ``max_bytes``, or not what its node said.
        """
        found = {each.path: each for each in await self.outputs(task_id)}
        if path in found and found[path].size > max_bytes:
            raise IntegrityError(f"{path} has {found[path].size} bytes: download it")
        with TemporaryDirectory() as folder:
            (file,) = await self.download(task_id, folder, paths=[path])
            return await blocking(file.read_bytes)

    async def download(
        self, task_id: str, directory: str | PathLike[str], *, paths: Sequence[str] | None = None
    ) -> list[Path]:
        """Fetch outputs into ``directory``, each checked against its hash.

        Args:
            paths: only these; None for all.

        Raises:
            NotFoundError: the task has no such output.
            IntegrityError: a file is not what its hash says; nothing is left of it.
        """
        return await self._artifacts.download_outputs(
            task_id, Path(directory), await self.outputs(task_id), paths
        )

    async def save_output(self, task_id: str, path: str, file: str | PathLike[str]) -> Path:
        """Fetch one output into this file, checked against its hash.

        Raises:
            NotFoundError: the task has no such output.
            IntegrityError: it is not what its hash says; the file is as it was before.
        """
        target = Path(file)
        await self._artifacts.save_output(task_id, await self.outputs(task_id), path, target)
        return target

    async def checkpoints(self, task_id: str) -> list[CheckpointInfo]:
        """What is kept of the task's work, oldest first. It stays until the task is deleted."""
        return (
            await self._transport.call(
                _CheckpointList, "GET", f"/tasks/{task_id}/checkpoints", task_id=task_id
            )
        ).checkpoints

    async def download_checkpoint(
        self, task_id: str, directory: str | PathLike[str], *, sequence: int | None = None
    ) -> list[Path]:
        """Fetch a checkpoint's files into ``directory``, each checked against its hash.

        Args:
            sequence: which one; None for the newest.

        Raises:
            NotFoundError: the task keeps no such checkpoint.
            IntegrityError: a file is not what its hash says; nothing is left of it.
        """
        if sequence is None:
            kept = await self.checkpoints(task_id)
            if not kept:
                raise NotFoundError(
                    f"{task_id} keeps no checkpoint", code="NOT_FOUND", status=404, details={}
                )
            sequence = kept[-1].sequence
        url = f"/tasks/{task_id}/checkpoints/{sequence}"
        files = (await self._transport.call(_CheckpointFiles, "GET", url, task_id=task_id)).files
        return await self._artifacts.download_files(f"{url}/files", Path(directory), files)

    async def receipt(self, task_id: str, *, lease_id: str | None = None) -> bytes:
        """The signed receipt, byte for byte; `neurogrid verify` checks it offline.

        Args:
            lease_id: of an earlier attempt; None: the lease under which the task ended.

        Raises:
            NotSettledError: the money has not moved yet; ``missing`` says what is lacking.
            NotFoundError: nothing was run and paid for.
        """
        params = {"lease_id": lease_id} if lease_id is not None else {}
        path = f"/tasks/{task_id}/receipt"
        return (await self._transport.send("GET", path, params=params, task_id=task_id)).content
