"""Everybody who has an account, for the operator."""

from sqlalchemy import Connection

from ..store import accounts
from ..store.accounts import Account
from ..store.database import Database

LIST_MAX = 100


class DirectoryOfAccounts:
    """All accounts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, *, limit: int, offset: int) -> tuple[list[Account], int]:
        """Some accounts, oldest first, and how many there are."""

        def read(conn: Connection) -> tuple[list[Account], int]:
            found = accounts.list_all(conn, limit=min(limit, LIST_MAX), offset=offset)
            return found, accounts.count(conn)

        return await self._database.read(read)
