"""Where a coordinator's database is."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a PostgreSQL server.

    Attributes:
        url: ``postgresql://user@host:5432/name``, as libpq reads it.
        password: "" where the URL has it, or libpq finds it by itself (``~/.pgpass``).
    """

    url: str = field(repr=False)
    password: str = field(default="", repr=False)


# A SQLite file, or a database on a server.
Place = Path | Server
