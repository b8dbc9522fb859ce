"""Inserts that say what happens where a row is there already. Both databases can, in the same words."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from .prepared import Prepared


def insert_or(conn: Connection, table: Table) -> sqlite.Insert:
    """An insert with ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    # The two classes offer the same, and have no common one that says so.
    return postgresql.insert(table)  # type: ignore[return-value]  # offers the same, and is no subclass


class Upsert:
    """A row that is put in the place of the one with its key, or added to it; `Prepared`, because it is written often.

    Args:
        key: the columns by which a row is the same.
        added: those whose values are added to what is there.
    """

    def __init__(self, table: Table, key: Collection[str], added: Collection[str] = ()) -> None:
        self._on_sqlite = Prepared(_upsert(sqlite.insert(table), table, key, added))
        # See `insert_or`.
        on_postgresql: sqlite.Insert = postgresql.insert(table)  # type: ignore[assignment]  # offers the same, and is no subclass
        self._on_postgresql = Prepared(_upsert(on_postgresql, table, key, added))

    def run(self, conn: Connection, values: Mapping[str, object]) -> None:
        """Put a row; ``values``: of all columns, in any order."""
        on_this = self._on_sqlite if conn.dialect.name == "sqlite" else self._on_postgresql
        on_this.run(conn, values)


def _upsert(
    insert: sqlite.Insert, table: Table, key: Collection[str], added: Collection[str]
) -> sqlite.Insert:
    changes = {
        column.name: column + insert.excluded[column.name]
        if column.name in added
        else insert.excluded[column.name]
        for column in table.columns
        if column.name not in key
    }
    return insert.on_conflict_do_update(index_elements=list(key), set_=changes)
