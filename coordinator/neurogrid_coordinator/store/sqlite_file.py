"""SQLite files that nobody serves now: for `migrate`, `backup` and `restore`."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from . import migrations

# A backup copies so many pages at a time: 4 MiB, between which it can say how far it is.
_COPY_PAGES = 1024


class DamagedDatabase(Exception):
    """The file is no sound database, or cannot be worked on; the message says what SQLite says."""


@contextmanager
def open_alone(path: Path) -> Iterator[Connection]:
    """One transaction on a file that nobody else has open, without foreign keys: for `migrate`.

    They are checked as a whole before the commit, so that a migration may rebuild a table.

    Raises:
        DamagedDatabase: a row refers to one that isn't there.
        OSError: the file isn't there.
    """
    with _plain(path, "rw") as raw:
        raw.execute("pragma synchronous=full")
        raw.execute("pragma foreign_keys=off")
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        try:
            with engine.connect() as conn:
                raw.execute("begin immediate")
                with conn.begin():
                    yield conn
                    broken = raw.execute("pragma foreign_key_check").fetchone()
                    if broken is not None:
                        raise DamagedDatabase(
                            f"{path}: a row of {broken[0]} refers to no {broken[2]}"
                        )
        finally:
            engine.dispose()


def copy_consistently(source: Path, target: Path, progress: Callable[[int, int], None]) -> None:
    """Copy the database as it is at one moment, while others read and write it.

    Args:
        target: is replaced; one file when this returns, and not forced to the disk.
        progress: told (bytes copied, bytes in all).

    Raises:
        OSError: the source isn't there.
        DamagedDatabase: it is none.
    """
    target.unlink(missing_ok=True)
    with _plain(source, "rw") as raw, _plain(target, "rwc") as copy:
        (page_bytes,) = raw.execute("pragma page_size").fetchone()
        # Its lock would be in the way of nobody, but its journal would be a second file.
        copy.execute("pragma synchronous=off")
        # One snapshot for all steps: else each write of somebody else would begin the copy anew.
        raw.execute("begin")
        raw.execute("select count(*) from sqlite_schema").fetchone()
        raw.backup(
            copy,
            pages=_COPY_PAGES,
            progress=lambda _, left, total: progress(
                (total - left) * page_bytes, total * page_bytes
            ),
        )
        raw.execute("rollback")
        copy.execute("pragma journal_mode=delete").fetchall()


def compact(path: Path) -> int:
    """Rewrite a database file that nobody else has open without its free pages; its size in bytes afterwards.

    It needs as much free space on the disk as the file has. A crash leaves the old file or the new one.

    Raises:
        DamagedDatabase: it is none, or is in use.
        OSError: it isn't there.
    """
    with _plain(path, "rw") as raw:
        raw.execute("vacuum")
        raw.execute("pragma wal_checkpoint(truncate)").fetchall()
    return path.stat().st_size


def check_file(path: Path) -> int:
    """Read a whole database file that is in nobody's use; its schema's version.

    Raises:
        DamagedDatabase: it is none, or not sound.
        migrations.SchemaTooNew: a newer release wrote it.
        OSError: it isn't there.
    """
    with _plain(path, "ro") as raw:
        (said,) = raw.execute("pragma quick_check(1)").fetchone()
        if said != "ok":
            raise DamagedDatabase(f"{path}: {said}")
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        try:
            with engine.connect() as conn:
                return migrations.present(conn)
        finally:
            engine.dispose()


@contextmanager
def snapshot_of_file(path: Path) -> Iterator[Connection]:
    """A connection that reads a file that is in nobody's use."""
    with _plain(path, "ro") as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        try:
            with engine.connect() as conn:
                yield conn
        finally:
            engine.dispose()


@contextmanager
def _plain(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    if mode != "rwc" and not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    raw = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    try:
        raw.execute("pragma busy_timeout=5000")
        yield raw
    except (sqlite3.DatabaseError, DBAPIError) as error:
        raise DamagedDatabase(f"{path}: {error}") from error
    finally:
        raw.close()
