"""Where a test's databases are: files in its folder, or on the tests' PostgreSQL server.

A test that is marked ``both_databases`` runs once on each; worlds ask here where their database is. A file has the
schema already: it is a copy of one that has taken each step once, which cost a test more than most tests do.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.places import Place

_DATABASE_FILE = "coordinator.db"
_on_server: Callable[[], Place] | None = None
_places: dict[Path, Place] = {}


def use(on_server: Callable[[], Place] | None) -> None:
    """Have databases on a server from now on, or in files: None."""
    global _on_server
    _on_server = on_server
    _places.clear()


def place_in(folder: Path) -> Place:
    """The database that belongs to this folder, the same each time."""
    if _on_server is None:
        file = folder / _DATABASE_FILE
        if not file.exists():
            file.write_bytes(_new_file())
        return file
    if folder not in _places:
        _places[folder] = _on_server()
    return _places[folder]


@cache
def _new_file() -> bytes:
    """What an empty database's file has in it."""

    async def make(file: Path) -> None:
        async with Database.open(file):
            pass

    # In a thread, which has no loop yet: who asks may have one that runs.
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        file = Path(folder) / _DATABASE_FILE
        thread.submit(lambda: asyncio.run(make(file))).result()
        return file.read_bytes()
