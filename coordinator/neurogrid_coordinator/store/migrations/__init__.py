"""The schema's history: numbered SQL files, applied forward only, all that are due in one transaction.

``NNNN_what.sql``; a file that was released never changes again, its successor does. SQLite's
dialect; another database will have a folder of its own beside these.
"""

import re
import sqlite3
import time
from dataclasses import dataclass
from importlib import resources

from sqlalchemy import Connection, func, insert, inspect, select

from ..tables import schema_version

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql", re.ASCII)


class SchemaTooNew(Exception):
    """The database was written by a newer release of the coordinator; run that one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    version: int
    name: str
    sql: str


def known() -> list[Migration]:
    """Every migration of this release, oldest first."""
    found = []
    for entry in resources.files(__package__).iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.version)
    assert [migration.version for migration in found] == list(range(1, len(found) + 1)), found
    return found


def apply(conn: Connection) -> int:
    """Bring the schema up to date inside the caller's transaction; return its version.

    Raises:
        SchemaTooNew: the file is from a newer release.
    """
    if not inspect(conn).has_table(schema_version.name):
        schema_version.create(conn)
    present = conn.scalar(select(func.max(schema_version.c.version))) or 0
    migrations = known()
    if present > len(migrations):
        raise SchemaTooNew(
            f"the database has schema {present}, and this release knows up to {len(migrations)}: "
            "it was written by a newer coordinator. Run that release, or restore a backup"
        )
    for migration in migrations[present:]:
        for statement in _statements(migration.sql):
            conn.exec_driver_sql(statement)
        conn.execute(
            insert(schema_version).values(
                version=migration.version, applied_at_ms=time.time_ns() // 1_000_000
            )
        )
    return len(migrations)


def _statements(sql: str) -> list[str]:
    """The single statements: the driver's executescript() would commit what came before."""
    statements = []
    pending = ""
    for line in sql.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    assert not pending.strip(), f"unfinished statement: {pending!r}"
    return statements
