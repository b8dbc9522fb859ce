"""Who changed what, from where: append-only, each row's hash over the one before.

`Database.write` records the first change of each request here, in the transaction that makes it.
"""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, insert, select
from sqlalchemy import func as sql

from neurogrid_marketplace.canonical import Json, sha256_hex

from .prepared import Prepared
from .tables import audit_rows

AuditType = Literal["task", "api", "system"]
AuditLevel = Literal["info", "warning", "error"]

# The hash before the first row.
GENESIS = "0" * 64
_PAGE = 500

_LAST = Prepared(
    select(audit_rows.c.seq, audit_rows.c.hash).order_by(audit_rows.c.seq.desc()).limit(1)
)
_INSERT = Prepared(insert(audit_rows))


@dataclass(slots=True)
class Acting:
    """Who is about to change something.

    Attributes:
        account_id: None for the operator's commands.
        message: what is done, in words.
        details: key, address, request; nothing secret.
        recorded: whether it was written down.
    """

    type: AuditType
    level: AuditLevel
    account_id: str | None
    message: str
    details: dict[str, Json] = field(default_factory=dict)
    recorded: bool = False


_acting: ContextVar[Acting | None] = ContextVar("acting", default=None)


class Scene:
    """Where somebody may act: whoever does is forgotten at its end."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _acting.set(None)

    def __exit__(self, *_: object) -> None:
        _acting.reset(self._token)


def act(acting: Acting) -> None:
    """From here on this scene's changes are theirs."""
    _acting.set(acting)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What was written down."""

    seq: int
    at_ms: int
    account_id: str | None
    type: AuditType
    level: AuditLevel
    message: str
    details: dict[str, Json]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which rows; None leaves a condition out. ``since_ms`` is inclusive, ``until_ms`` exclusive."""

    account_id: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    type: str | None = None
    level: str | None = None


def record(conn: Connection) -> None:
    """Write down whoever acts, inside the transaction of their first change; it may be run again."""
    acting = _acting.get()
    if acting is not None and not acting.recorded:
        append(conn, acting, time.time_ns() // 1_000_000)


def recorded() -> None:
    """What `record` wrote is durable: whoever acts is not written down again."""
    acting = _acting.get()
    if acting is not None:
        acting.recorded = True


def append(conn: Connection, acting: Acting, at_ms: int) -> None:
    """Add a row to the chain. Whoever else does at the same time is refused one of the two: they have the same `seq`."""
    last = _LAST.first(conn, {})
    seq, previous = (last.seq + 1, last.hash) if last else (1, GENESIS)
    details = msgspec.json.encode(acting.details).decode()
    values = {
        "seq": seq,
        "at_ms": at_ms,
        "account_id": acting.account_id,
        "type": acting.type,
        "level": acting.level,
        "message": acting.message,
        "details_json": details,
        "previous": previous,
    }
    _INSERT.run(conn, {**values, "hash": hash_of(values)})


def hash_of(values: Mapping[str, object]) -> str:
    """The hash of a row's fields as JSON in RFC 8785's form, the hash of the row before among them."""
    return sha256_hex(values)


def list_rows(
    conn: Connection, which: AuditFilter, *, limit: int, offset: int
) -> tuple[list[AuditRow], int]:
    """Rows that fit, newest first, and how many fit."""
    conditions = _conditions(which)
    rows = conn.execute(
        select(audit_rows)
        .where(*conditions)
        .order_by(audit_rows.c.seq.desc())
        .limit(limit)
        .offset(offset)
    )
    total = conn.scalar(select(sql.count()).select_from(audit_rows).where(*conditions)) or 0
    return [_row(row) for row in rows], total


def count(conn: Connection, account_id: str | None) -> int:
    """All rows of an account; None: all there are."""
    return (
        conn.scalar(
            select(sql.count()).select_from(audit_rows).where(*_conditions(AuditFilter(account_id)))
        )
        or 0
    )


def page(conn: Connection, after: int) -> list[AuditRow]:
    """The next rows after ``after``, oldest first; none at the end."""
    rows = conn.execute(
        select(audit_rows).where(audit_rows.c.seq > after).order_by(audit_rows.c.seq).limit(_PAGE)
    )
    return [_row(row) for row in rows]


def written(row: AuditRow) -> dict[str, Json]:
    """A row's fields as they were hashed, and the hash."""
    return {
        "seq": row.seq,
        "at_ms": row.at_ms,
        "account_id": row.account_id,
        "type": row.type,
        "level": row.level,
        "message": row.message,
        "details_json": msgspec.json.encode(row.details).decode(),
        "previous": row.previous,
        "hash": row.hash,
    }


def has(conn: Connection, hash_: str) -> bool:
    """Whether a row has this hash, or it is that before the first."""
    if hash_ == GENESIS:
        return True
    return conn.scalar(select(audit_rows.c.seq).where(audit_rows.c.hash == hash_)) is not None


class Tampered(Exception):
    """The log is not what was written; the message names the first row that isn't."""


def verify(conn: Connection) -> tuple[int, str]:
    """Check every row; how many there are, and the hash of the last, which stands for all.

    Raises:
        Tampered: a row was changed, taken out or put in.
    """
    count_, previous = 0, GENESIS
    for row in conn.execute(select(audit_rows).order_by(audit_rows.c.seq)):
        values = dict(row._mapping)
        found = values.pop("hash")
        if row.seq != count_ + 1:
            raise Tampered(f"row {count_ + 1} is missing")
        if row.previous != previous or hash_of(values) != found:
            raise Tampered(f"row {row.seq} is not what was written")
        count_, previous = row.seq, found
    return count_, previous


def _conditions(which: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for name in ("account_id", "type", "level"):
        value = getattr(which, name)
        if value is not None:
            conditions.append(audit_rows.c[name] == value)
    if which.since_ms is not None:
        conditions.append(audit_rows.c.at_ms >= which.since_ms)
    if which.until_ms is not None:
        conditions.append(audit_rows.c.at_ms < which.until_ms)
    return conditions


def _row(row: Row[tuple[object, ...]]) -> AuditRow:
    return AuditRow(
        row.seq,
        row.at_ms,
        row.account_id,
        row.type,
        row.level,
        row.message,
        msgspec.json.decode(row.details_json),
        row.previous,
        row.hash,
    )
