"""Statements that run thousands of times a second: SQLAlchemy writes them once, and SQLite gets the text.

    _BY_ID = Prepared(select(tasks).where(tasks.c.id == bindparam("the_id")))
    row = _BY_ID.first(conn, {"the_id": task_id})

SQLAlchemy's way from a statement to SQLite and back takes 40 to 50 microseconds of Python each time; the driver takes
5 to 15. On PostgreSQL, where the trip to the server is what counts, the statement goes SQLAlchemy's way.

For columns of text, numbers and bytes, which SQLAlchemy passes on as they are (all of ours), and for errors it raises
what SQLAlchemy would.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase


class Prepared:
    """A statement whose parameters have the same names each time.

    Args:
        statement: a select, insert, update or delete; what an ``in_`` compares with is part of it.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._ready: _Ready | None = None

    def run(self, conn: Connection, values: Mapping[str, object]) -> None:
        """Carry it out.

        Raises:
            sqlalchemy.exc.DBAPIError: as ``conn.execute``.
        """
        if conn.dialect.name == "sqlite":
            self._on_sqlite(conn, values)
        else:
            conn.execute(self._statement, values)

    def first(self, conn: Connection, values: Mapping[str, object]) -> Any:
        """The first row, with its columns as attributes; None: there is none."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, values).first()
        cursor, ready = self._on_sqlite(conn, values)
        found = cursor.fetchone()
        return None if found is None else ready.row(cursor, found)

    def all(self, conn: Connection, values: Mapping[str, object]) -> Sequence[Any]:
        """All rows, with their columns as attributes."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, values).all()
        cursor, ready = self._on_sqlite(conn, values)
        found = cursor.fetchall()
        return [ready.row(cursor, each) for each in found] if found else found

    def plain(self, conn: Connection, values: Mapping[str, object]) -> Sequence[Any]:
        """All rows as they come, to be compared with others of the same statement; see `named`."""
        if conn.dialect.name != "sqlite":
            return conn.execute(self._statement, values).all()
        cursor, ready = self._on_sqlite(conn, values)
        ready.learn_columns(cursor)
        return cursor.fetchall()

    def named(self, rows: Sequence[Any]) -> Sequence[Any]:
        """Rows that `plain` has given, with their columns as attributes."""
        if not rows or hasattr(rows[0], "_mapping"):
            return rows
        assert self._ready is not None, "it has given them"
        return [self._ready.named(row) for row in rows]

    def scalar(self, conn: Connection, values: Mapping[str, object]) -> Any:
        """The first column of the first row; None: there is none."""
        if conn.dialect.name != "sqlite":
            return conn.scalar(self._statement, values)
        found = self._on_sqlite(conn, values)[0].fetchone()
        return None if found is None else found[0]

    def _on_sqlite(
        self, conn: Connection, values: Mapping[str, object]
    ) -> "tuple[sqlite3.Cursor, _Ready]":
        # Two threads may both make it the first time: it comes out the same.
        ready = self._ready or self._made_ready(conn, values)
        raw = conn.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection), "the dialect's"
        try:
            return raw.execute(ready.text, ready.parameters(values)), ready
        except sqlite3.Error as error:
            raise DBAPIError.instance(
                ready.text, tuple(values.values()), error, sqlite3.Error, dialect=conn.dialect
            ) from error

    def _made_ready(self, conn: Connection, values: Mapping[str, object]) -> "_Ready":
        statement: Any = self._statement
        of_columns = list(values) if isinstance(statement, UpdateBase) else None
        compiled = statement.compile(dialect=conn.dialect, column_keys=of_columns)
        # What an "in" compares with is written out.
        state = compiled.construct_expanded_state(dict(values))
        ready = self._ready = _Ready(state.statement, state.positiontup, state.parameters, values)
        return ready


class _Ready:
    """A statement in SQLite's words.

    Attributes:
        text: with a question mark for each parameter.
    """

    def __init__(
        self,
        text: str,
        names: Sequence[str],
        params: Mapping[str, object],
        given: Mapping[str, object],
    ) -> None:
        unknown = set(given) - set(names)
        assert not unknown, f"no parameters of the statement: {sorted(unknown)}"
        self.text = text
        # One call for all of them; of one, `itemgetter` gives no tuple.
        self._in_order: Callable[[Mapping[str, object]], Sequence[object]] = (
            itemgetter(*names) if len(names) > 1 else lambda values: [values[n] for n in names]
        )
        # What the statement itself compares with.
        self._constants = {name: params[name] for name in names if name not in given}
        self._count = len(given)
        self._make_row: Callable[[Sequence[object]], Any] | None = None

    def parameters(self, values: Mapping[str, object]) -> Sequence[object]:
        """Their values in order. Raises KeyError, AssertionError: others than the first time are given."""
        assert len(values) == self._count, "the same parameters each time"
        if self._constants:
            values = {**self._constants, **values}
        return self._in_order(values)

    def row(self, cursor: sqlite3.Cursor, found: Sequence[object]) -> Any:
        """A row, by its columns' names."""
        self.learn_columns(cursor)
        return self.named(found)

    def learn_columns(self, cursor: sqlite3.Cursor) -> None:
        """Have `named` know them from now on."""
        if self._make_row is None:
            make: Callable[..., Any] = namedtuple
            self._make_row = make("Row", [column[0] for column in cursor.description])._make

    def named(self, found: Sequence[object]) -> Any:
        """A row, by its columns' names, which were learnt."""
        assert self._make_row is not None, "learnt"
        return self._make_row(found)
