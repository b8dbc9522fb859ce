"""Inserts that say what happens where a row is there already. Both databases can, in the same words."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_or(conn: Connection, table: Table) -> sqlite.Insert:
    """An insert with ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    if conn.dialect.name == "sqlite":
        return sqlite.insert(table)
    # The two classes offer the same, and have no common one that says so.
    return postgresql.insert(table)  # type: ignore[return-value]  # offers the same, and is no subclass
