"""``audit verify | export``: who changed what, and that nobody has changed what is said of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from . import options
from .options import fail


@click.group()
def audit() -> None:
    """The log of who changed what."""


@audit.command()
@options.directory
@click.option("--head", help="A hash that it had before, which has to be in it still.")
@options.as_json
def verify(directory: Path, head: str | None, as_json: bool) -> None:
    """Check that every row is as it was written. Keep the hash that is printed elsewhere: with it a log that was cut off
    or made anew is found out."""
    from ..store import audit as log

    try:
        rows, last, is_there = _read(directory, lambda conn: _checked(conn, head))
    except log.Tampered as error:
        fail(str(error))
    if head is not None and not is_there:
        fail(f"no row has the hash {head}: the log was cut off or made anew")
    if as_json:
        click.echo(json.dumps({"rows": rows, "head": last}))
    else:
        click.echo(f"{rows} rows, each as it was written\nhead  {last}")


@audit.command()
@options.directory
def export(directory: Path) -> None:
    """Write every row as a line of JSON, oldest first; each hash is of the other fields (RFC 8785, SHA-256)."""
    for line in _lines(directory):
        click.echo(line)


def _checked(conn: Any, head: str | None) -> tuple[int, str, bool]:
    from ..store import audit as log

    rows, last = log.verify(conn)
    return rows, last, head is None or log.has(conn, head)


def _lines(directory: Path) -> Iterator[str]:
    from ..store import audit as log

    after = 0
    while page := _read(directory, lambda conn, after=after: log.page(conn, after)):
        for row in page:
            yield json.dumps(log.written(row), ensure_ascii=False)
        after = page[-1].seq


def _read(directory: Path, fn: Any) -> Any:
    import asyncio

    from ..config import ConfigError
    from ..setup import database_place
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from ..store.database import Database

    async def go() -> Any:
        async with Database.open(database_place(directory)) as database:
            return await database.read(fn)

    if not directory.is_dir():
        fail(f"{directory} does not exist: run `neurogrid-coordinator init` first")
    try:
        return asyncio.run(go())
    except (ConfigError, OSError, Overloaded, DatabaseInUse, ServerUnfit) as error:
        fail(str(error))
