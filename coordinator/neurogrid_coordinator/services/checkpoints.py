"""What is kept of a task's work, for whoever owns the task."""

from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.checkpoint import KeptCheckpoint
from neurogrid_marketplace.job import OutputFile

from ..store import checkpoints
from ..store.accounts import Account
from ..store.database import Database
from .errors import NotFound
from .task_details import owned


@dataclass(frozen=True, slots=True)
class CheckpointDetail:
    """One checkpoint and its files, sorted by path."""

    kept: KeptCheckpoint
    files: tuple[OutputFile, ...]


class Checkpoints:
    """Checkpoints of tasks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, account: Account, task_id: str) -> tuple[KeptCheckpoint, ...]:
        """Those that are kept, oldest first.

        Raises:
            NotFound: no such task of this account.
        """
        row = await self._database.read(owned, account, task_id)
        return row.state.checkpoints

    async def get(self, account: Account, task_id: str, sequence: int) -> CheckpointDetail:
        """One with its files.

        Raises:
            NotFound: no such task of this account, or it keeps no such checkpoint (any more).
        """

        def read(conn: Connection) -> CheckpointDetail:
            row = owned(conn, account, task_id)
            for kept in row.state.checkpoints:
                if kept.checkpoint.sequence == sequence:
                    files = checkpoints.files(conn, row.id, sequence)
                    return CheckpointDetail(kept, tuple(files))
            raise NotFound(f"this task keeps no checkpoint {sequence}", {"sequence": sequence})

        return await self._database.read(read)

    async def file(self, account: Account, task_id: str, sequence: int, path: str) -> OutputFile:
        """One file of one.

        Raises:
            NotFound: see `get`; or it has no such file.
        """
        for file in (await self.get(account, task_id, sequence)).files:
            if file.path == path:
                return file
        raise NotFound(f"this checkpoint has no file {path[:512]!r}", {"path": path[:512]})
