"""The error log, for an account and for the operator."""

import logging
import time
import traceback
from collections.abc import Sequence

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json

from ..store import failures
from ..store.database import Database, DatabaseClosed, Overloaded
from ..store.failures import Failure, FailureFilter
from .errors import NotFound, Refused

_log = logging.getLogger(__name__)

LIST_MAX = 1000
_FRAMES_MAX = 30
# A server's own words may be in it.
_MESSAGE_CHARS_MAX = 1000
# What is kept of an answer that failed; no more of its details.
_OF_ANSWERS = ("request_id", "replica", "node_id")


class FailureLog:
    """What failed, and what was done about it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, which: FailureFilter, *, limit: int, offset: int
    ) -> tuple[Sequence[Failure], int]:
        """Failures of an account, or of all where ``which`` names none; and how many fit."""
        return await self._database.read(
            lambda conn: failures.list_rows(conn, which, limit=min(limit, LIST_MAX), offset=offset)
        )

    async def get(self, failure_id: str, account_id: str | None) -> Failure:
        """A failure (of this account, if one is named).

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        return await self._database.read(lambda conn: _found(conn, failure_id, account_id))

    async def resolve(
        self, failure_id: str, resolution: str | None, account_id: str | None
    ) -> Failure:
        """Say what was done about a failure (of this account, if one is named).

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        now_ms = time.time_ns() // 1_000_000

        def save(conn: Connection) -> Failure:
            _found(conn, failure_id, account_id)
            failures.resolve(conn, failure_id, resolution, now_ms)
            return _found(conn, failure_id, account_id)

        return await self._database.write(save)

    async def unanswered(self, account_id: str, model_id: str, error: Refused) -> None:
        """Write down that no replica answered an account's request, or that one broke off; no word of what was asked or answered."""

        def add(conn: Connection) -> None:
            known = error.details
            failures.add(
                conn,
                at_ms=time.time_ns() // 1_000_000,
                account_id=account_id,
                task_id=_word(known.get("task_id")),
                severity="medium",
                code=error.code,
                message=error.message[:_MESSAGE_CHARS_MAX],
                context={
                    "model": model_id,
                    **{name: known[name] for name in _OF_ANSWERS if name in known},
                },
                stack="",
            )

        try:
            await self._database.write(add)
        except (Overloaded, DatabaseClosed) as busy:
            _log.warning("the error log has no place for a failed answer: %s", busy)

    async def bug(self, error: Exception, *, method: str, path: str, request_id: str) -> None:
        """Write down that a request failed by a bug of ours: for the operator, without what was in it.

        An error's own words may hold what a client sent, so only its kind and its place are kept.
        """

        def add(conn: Connection) -> None:
            failures.add(
                conn,
                at_ms=time.time_ns() // 1_000_000,
                account_id=None,
                severity="high",
                code="INTERNAL",
                message=f"a request failed with {type(error).__name__}",
                context={"request_id": request_id, "method": method, "path": path[:300]},
                stack=_places(error),
            )

        try:
            await self._database.write(add)
        except (Overloaded, DatabaseClosed) as busy:
            _log.warning("%s: the error log has no place for it: %s", request_id, busy)


def _found(conn: Connection, failure_id: str, account_id: str | None) -> Failure:
    found = failures.get(conn, failure_id, account_id)
    if found is None:
        raise NotFound(f"there is no error {failure_id[:80]}", {"error_id": failure_id[:80]})
    return found


def _word(value: Json) -> str | None:
    return value if isinstance(value, str) else None


def _places(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_MAX:]
    return "\n".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
