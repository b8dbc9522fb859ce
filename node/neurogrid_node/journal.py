"""What the node must not forget: its leases, in one SQLite file.

Save, then act: a lease's state is on disk (synchronous=FULL) before anything is done about it, so
that a killed node goes on where it was. Calls block for one fsync; the daemon makes them in a worker
thread, one at a time.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import msgspec

from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.lease import NodeLease

from .reservations import Reservation

_SCHEMA_VERSION = 1
_SCHEMA = """
create table lease (
    lease_id text primary key,
    phase text not null,
    document blob not null,
    reserved blob not null,
    profile text not null default '{}',
    log_bytes integer not null default 0,
    log_until_ns integer not null default 0
) strict;
create table earning (
    lease_id text primary key,
    at_ms integer not null,
    micro_usdc integer not null,
    signature text not null
) strict;
"""


class JournalError(Exception):
    """The journal cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How much of a job's log is in our own file, and the engine's time it reaches to."""

    log_bytes: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Earnings:
    """What this node has redeemed so far."""

    leases: int
    micro_usdc: int


class Journal:
    """The open file. One process owns it."""

    def __init__(self, path: Path) -> None:
        """
        Raises:
            JournalError: another node has it open, or it is from a newer version.
        """
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1)
        try:
            # Exclusive for as long as we live: two daemons on one journal would run jobs twice.
            self._db.execute("pragma locking_mode=exclusive")
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            version = self._db.execute("pragma user_version").fetchone()[0]
            if version > _SCHEMA_VERSION:
                raise JournalError(
                    f"{path} was written by a newer neurogrid-node: upgrade this one"
                )
            self._db.execute("begin immediate")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version={_SCHEMA_VERSION}")
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            raise JournalError(
                f"{path} is in use: is another neurogrid-node running on this directory?"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, lease: NodeLease, reserved: Reservation) -> None:
        """Store a lease that is about to be accepted, with what is reserved for it."""
        self._db.execute(
            "insert into lease(lease_id, phase, document, reserved) values(?, ?, ?, ?)",
            (lease.lease_id, lease.phase.value, _encode(lease), _encode(reserved)),
        )

    def save(self, lease: NodeLease) -> None:
        """Store what a lease has become; durable when this returns."""
        self._db.execute(
            "update lease set phase=?, document=? where lease_id=?",
            (lease.phase.value, _encode(lease), lease.lease_id),
        )

    def load(self) -> list[tuple[NodeLease, Reservation]]:
        """Every lease that is not forgotten, and what is reserved for it."""
        rows = self._db.execute("select document, reserved from lease order by lease_id")
        return [
            (
                msgspec.json.decode(document, type=NodeLease),
                msgspec.json.decode(reserved, type=Reservation),
            )
            for document, reserved in rows.fetchall()
        ]

    def forget(self, lease_id: str) -> None:
        """A closed lease whose container and files are gone."""
        self._db.execute("delete from lease where lease_id=?", (lease_id,))

    def save_profile(self, lease_id: str, profile_json: str) -> None:
        """Keep the sandbox profile that was applied; the result names its hash."""
        self._db.execute("update lease set profile=? where lease_id=?", (profile_json, lease_id))

    def profile(self, lease_id: str) -> str:
        """The profile as saved, "{}" if none was applied."""
        row = self._db.execute("select profile from lease where lease_id=?", (lease_id,)).fetchone()
        return row[0] if row else "{}"

    def save_log_position(self, lease_id: str, position: LogPosition) -> None:
        """Note how far the log file is written."""
        self._db.execute(
            "update lease set log_bytes=?, log_until_ns=? where lease_id=?",
            (position.log_bytes, position.until_ns, lease_id),
        )

    def log_position(self, lease_id: str) -> LogPosition:
        """How far the log file is written."""
        row = self._db.execute(
            "select log_bytes, log_until_ns from lease where lease_id=?", (lease_id,)
        ).fetchone()
        return LogPosition(*row) if row else LogPosition(0, 0)

    def save_earning(self, lease_id: str, at_ms: int, micro_usdc: int, signature: str) -> None:
        """Note a redeemed voucher; repeating it changes nothing."""
        self._db.execute(
            "insert or ignore into earning values(?, ?, ?, ?)",
            (lease_id, at_ms, micro_usdc, signature),
        )

    def earnings(self) -> Earnings:
        """Sum of what was redeemed."""
        row = self._db.execute(
            "select count(*), coalesce(sum(micro_usdc), 0) from earning"
        ).fetchone()
        return Earnings(*row)


def _encode(value: NodeLease | Reservation) -> bytes:
    return msgspec.json.encode(plain(value))
