"""Where a test's databases are: files in its folder, or on the tests' PostgreSQL server.

A test that is marked ``both_databases`` runs once on each; worlds ask here where their database is.
"""

from collections.abc import Callable
from pathlib import Path

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
        return folder / _DATABASE_FILE
    if folder not in _places:
        _places[folder] = _on_server()
    return _places[folder]
