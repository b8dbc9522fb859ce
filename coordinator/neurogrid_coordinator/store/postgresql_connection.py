"""A connection to a PostgreSQL server as the store needs it: how it is set, its types, and what its errors mean."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.adapt import Loader
from psycopg.types.string import StrDumperUnknown
from sqlalchemy import BigInteger, Connection, Engine, Integer, create_engine
from sqlalchemy.pool import NullPool

from .away import ServerUnfit
from .places import Server

# Transaction ids of 64 bits, and what became of one: since 13.
_VERSION_MIN = 130000
# The advisory lock of who writes, in this database.
_WRITING = 5_649_000_001
BEGIN_WRITE = f"begin isolation level read committed; select pg_advisory_xact_lock({_WRITING})"
SETTINGS = (
    # The last commit survives a power failure, whatever the server's default is.
    "set synchronous_commit = on",
    # Whoever is stopped in a transaction holds up all others; the server ends it then.
    "set idle_in_transaction_session_timeout = '10s'",
    "set lock_timeout = '15s'",
    "set statement_timeout = '60s'",
    "set client_min_messages = warning",
    # A machine that is gone holds no lock for longer than this: 19 s.
    "set tcp_keepalives_idle = 10",
    "set tcp_keepalives_interval = 3",
    "set tcp_keepalives_count = 3",
)
# PostgreSQL's appendix A: connection exceptions, transaction rollbacks, an administrator's or a crash's end of the
# server, its start, and the two time limits of sessions that do nothing.
_UNDONE = ("08", "40", "57P01", "57P02", "57P03", "57P05", "25P03")
# What a connection that is silently lost costs, and one that is never answered.
CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "application_name": "neurogrid-coordinator",
}


class _Text(StrDumperUnknown):
    """Text without NUL, which PostgreSQL has no place for: it becomes U+FFFD, and is found as that."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _Number(Loader):
    """A sum of integers is a ``numeric`` there: an int again; an average is a float, as of SQLite."""

    def load(self, data: Any) -> Any:
        text = bytes(data)
        return float(text) if b"." in text or text == b"NaN" else int(text)


class Lost(Exception):
    """The connection is gone, or the transaction was undone: nothing of it holds."""


def engine_to(server: Server) -> Engine:
    """Connections to a server, each made anew.

    Raises:
        ServerUnfit, psycopg.Error: see `connect`, when one is made.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(server),
        poolclass=NullPool,
        use_native_hstore=False,
    )
    # Whole numbers have 64 bits, as those of SQLite, whatever a column's declaration says.
    engine.dialect.colspecs = {
        **engine.dialect.colspecs,
        Integer: engine.dialect.colspecs[BigInteger],
    }
    return engine


def connect(server: Server) -> "psycopg.Connection[Any]":
    """A connection as we need it, without a transaction.

    Raises:
        ServerUnfit: it cannot be used.
        psycopg.Error: there is no way in.
    """
    given = {**CONNECTION, **({"password": server.password} if server.password else {})}
    raw = psycopg.connect(server.url, autocommit=True, **given)
    try:
        if raw.info.server_version < _VERSION_MIN:
            raise ServerUnfit("the PostgreSQL server is too old: 13 or newer is needed")
        encoding = raw.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ServerUnfit(
                f"the database's encoding is {encoding}: create it with encoding 'UTF8'"
            )
        for setting in SETTINGS:
            raw.execute(setting)
        raw.adapters.register_dumper(str, _Text)
        raw.adapters.register_loader("numeric", _Number)
    except BaseException:
        raw.close()
        raise
    return raw


def raw_of(conn: Connection) -> "psycopg.Connection[Any]":
    """The driver's own of a connection."""
    raw = conn.connection.driver_connection
    assert isinstance(raw, psycopg.Connection), "the dialect's"
    return raw


def execute(
    raw: "psycopg.Connection[Any]", sql: str, values: Sequence[object] | None = None
) -> "psycopg.Cursor[Any]":
    """One of our own statements.

    Raises:
        Lost: the transaction cannot go on.
    """
    try:
        return raw.execute(sql, values)
    except psycopg.Error as error:
        raise Lost(str(error).strip()) from error


def undone(error: psycopg.Error) -> bool:
    """Whether the server took the transaction back, for somebody else's sake, or ended the connection.

    Its last word comes before its end does: libpq takes the connection for a good one until then.
    """
    return (error.sqlstate or "").startswith(_UNDONE)
