"""The audit log, for an account and for the operator."""

from dataclasses import dataclass

from sqlalchemy import Connection

from ..store import audit
from ..store.audit import AuditFilter, AuditRow
from ..store.database import Database

LIST_MAX = 1000


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some rows, newest first; ``filtered``: how many fit, ``total``: how many there are."""

    rows: tuple[AuditRow, ...]
    filtered: int
    total: int


class AuditLog:
    """What was changed, by whom."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, which: AuditFilter, *, limit: int, offset: int) -> AuditPage:
        """Rows of an account, or of all where ``which`` names none."""

        def read(conn: Connection) -> AuditPage:
            rows, filtered = audit.list_rows(conn, which, limit=min(limit, LIST_MAX), offset=offset)
            return AuditPage(tuple(rows), filtered, audit.count(conn, which.account_id))

        return await self._database.read(read)
