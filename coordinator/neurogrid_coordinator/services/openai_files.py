"""Files as OpenAI's clients name them: artifacts of the account, under an id and a name."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import Connection

from ..store import openai_files
from ..store.accounts import Account
from ..store.database import Database
from ..store.ids import new_id
from ..store.openai_files import BATCH, FileRow
from .artifacts import Artifacts, Stored, Upload
from .errors import InvalidRequest, NotFound

FILES_MAX = 10_000
LIST_MAX = 10_000
_NAME_CHARS_MAX = 255


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files; ``has_more``: there are others behind them."""

    files: tuple[FileRow, ...]
    has_more: bool


class OpenAiFiles:
    """What clients do with files."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    async def upload(
        self, account: Account, name: str, chunks: AsyncIterator[bytes], size_bytes: int | None
    ) -> FileRow:
        """Keep a file for a batch.

        Raises:
            InvalidRequest: the account has too many.
            PayloadTooLarge, Unavailable: see `Artifacts.put`.
        """
        await self._database.read(_require_room, account)
        stored = await self._artifacts.put(account, Upload(None, chunks, size_bytes))
        row = new_row(account, stored, name, BATCH)
        await self._database.write(openai_files.add, row)
        return row

    async def get(self, account: Account, file_id: str) -> FileRow:
        """A file of the account.

        Raises:
            NotFound: there is none.
        """
        row = await self._database.read(openai_files.get, account.id, file_id)
        if row is None:
            raise _missing(file_id)
        return row

    async def list(
        self,
        account: Account,
        *,
        purpose: str | None,
        after: str | None,
        newest_first: bool,
        limit: int,
    ) -> FilePage:
        """Files of the account, from the one after ``after`` on."""
        rows = await self._database.read(
            lambda conn: openai_files.page(
                conn,
                account.id,
                purpose=purpose,
                after=after,
                newest_first=newest_first,
                limit=limit + 1,
            )
        )
        return FilePage(tuple(rows[:limit]), len(rows) > limit)

    async def delete(self, account: Account, file_id: str) -> None:
        """Forget a file's id and name, and the bytes of what we wrote; a batch that is made of it goes on.

        Raises:
            NotFound: there is none.
        """
        await self._database.write(_remove, account, file_id)

    async def stored(self, row: FileRow) -> Stored:
        """Its bytes, found.

        Raises:
            NotFound: they are lost.
        """
        return await self._artifacts.present(row.sha256, row.size_bytes)

    def content(self, stored: Stored, offset: int = 0) -> AsyncIterator[bytes]:
        """Its bytes, from ``offset`` on."""
        return self._artifacts.content(stored, offset)


def new_row(account: Account, stored: Stored, name: str, purpose: str) -> FileRow:
    """A file that is not stored yet."""
    return FileRow(
        id=new_id("file").replace("_", "-", 1),
        account_id=account.id,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        # Its sender's, who may have put anything into it.
        filename="".join(filter(str.isprintable, name))[:_NAME_CHARS_MAX],
        purpose=purpose,
        created_at_ms=time.time_ns() // 1_000_000,
    )


def _missing(file_id: str) -> NotFound:
    return NotFound(f"there is no file {file_id[:80]}", {"file_id": file_id[:80]})


def _remove(conn: Connection, account: Account, file_id: str) -> None:
    row = openai_files.get(conn, account.id, file_id)
    if row is None:
        raise _missing(file_id)
    openai_files.remove(conn, row)


def _require_room(conn: Connection, account: Account) -> None:
    if openai_files.count(conn, account.id) >= FILES_MAX:
        raise InvalidRequest(f"file: an account has at most {FILES_MAX} files; delete some", "file")
