"""What the node must not forget: its leases, in one SQLite file.

Save, then act: a lease's state is on disk (synchronous=FULL) before anything is done about it, so
that a killed node goes on where it was. `Journal` blocks for one fsync a call; the daemon uses it
through `JournalThread`.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
import trio

from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.lease import NodeLease

from .container.log_cursor import LOG_START, LogCursor
from .lease.past import PAST_KEPT, PastLease
from .market.intake import Word
from .market.reservations import Reservation
from .market.start_history import NOTHING_MEASURED, StartHistory
from .use.losses import LOSSES_MAX, UnpaidUse

P = ParamSpec("P")
T = TypeVar("T")

_SCHEMA_VERSION = 8
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
) strict
"""
# Version 2: older earnings are only kept as their sum.
_SUM_OF_OLD = """
create table old_earnings (leases integer not null, micro_usdc integer not null) strict;
insert into old_earnings values (0, 0)
"""
# Version 3: a log goes on behind a record of each stream, not after one time.
_LOG_CURSOR = """
alter table lease add column log_cursor text not null default '{}';
update lease set log_cursor = json_object(
    'stdout', json_object('time_ns', log_until_ns, 'count', 1),
    'stderr', json_object('time_ns', log_until_ns, 'count', 1)
) where log_until_ns > 0;
alter table lease drop column log_until_ns
"""
# Version 4: how long starts have taken, so that a restarted node's bids know.
_STARTS = """
create table start_history (document text not null) strict;
insert into start_history values ('{}')
"""
# Version 5: each lease has a key of its own that inputs may be sealed to, and that goes with it.
_SEALING_KEYS = """
alter table lease add column sealing_key blob not null default x''
"""
# Version 6: what the owner has said of new work.
_WORD = """
create table owner_word (document text not null) strict;
insert into owner_word values ('{}')
"""
# Version 7: the leases that were, each in a line.
_PAST = """
create table past_lease (
    lease_id text primary key,
    ended_at_ms integer not null,
    document text not null
) strict
"""
# Version 8: what was served under leases for use whose escrows never came, and when it was lost.
_UNPAID = """
create table unpaid_use (
    lease_id text primary key,
    coordinator text not null,
    at_ms integer not null,
    micro_usdc integer not null
) strict
"""
# Earnings listed one by one, about 2 MB; the chain has the older ones too.
_EARNINGS_LISTED = 10_000


class JournalError(Exception):
    """The journal cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LogPosition:
    """How much of a job's log is in our own file, and how far in the engine's it reaches."""

    log_bytes: int = 0
    cursor: LogCursor = LOG_START


@dataclass(frozen=True, slots=True)
class Earned:
    """What this node has redeemed so far."""

    leases: int
    micro_usdc: int


@dataclass(frozen=True, slots=True)
class Earning:
    """What the last voucher of one lease brought, after the market's fee.

    Attributes:
        transaction: signature of the transaction that redeemed it.
    """

    lease_id: str
    at_ms: int
    micro_usdc: int
    transaction: str


class Journal:
    """The open file. One process owns it."""

    def __init__(
        self,
        path: Path,
        *,
        earnings_listed: int = _EARNINGS_LISTED,
        past_kept: int = PAST_KEPT,
    ) -> None:
        """
        Args:
            earnings_listed: how many earnings are kept one by one.
            past_kept: how many leases that are over.

        Raises:
            JournalError: another node has it open, it is from a newer version, or it is damaged.
        """
        self._earnings_listed = earnings_listed
        self._past_kept = past_kept
        try:
            self._db = sqlite3.connect(
                path, isolation_level=None, check_same_thread=False, timeout=1
            )
        except sqlite3.Error as error:
            raise JournalError(f"{path} cannot be opened: {error}") from error
        try:
            self._prepare(path)
        except sqlite3.Error as error:
            self._db.close()
            if "locked" in str(error):
                raise JournalError(
                    f"{path} is in use: is another neurogrid-node running on this directory?"
                ) from error
            raise JournalError(f"{path} cannot be used: {error}") from error
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, path: Path) -> None:
        # Exclusive for as long as we live: two daemons on one journal would run jobs twice.
        self._db.execute("pragma locking_mode=exclusive")
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        # Leases that run are few; SQLite would keep 2 MB of those that were.
        self._db.execute("pragma cache_size=-256")
        # What is deleted is overwritten: a sealing key is to be gone with its lease.
        self._db.execute("pragma secure_delete=on")
        self._db.execute("begin immediate")
        version = self._db.execute("pragma user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise JournalError(f"{path} was written by a newer neurogrid-node: upgrade this one")
        all_steps = (
            _SCHEMA,
            _SUM_OF_OLD,
            _LOG_CURSOR,
            _STARTS,
            _SEALING_KEYS,
            _WORD,
            _PAST,
            _UNPAID,
        )
        steps = all_steps[version:]
        for statement in ";".join(steps).split(";") if steps else ():
            self._db.execute(statement)
        self._db.execute(f"pragma user_version={_SCHEMA_VERSION}")
        self._db.execute("commit")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, lease: NodeLease, reserved: Reservation, sealing_key: bytes = b"") -> None:
        """Store a lease that is about to be accepted, with what is reserved for it.

        Args:
            sealing_key: the private key to what is sealed for it; it goes when the lease is forgotten.
        """
        self._db.execute(
            "insert into lease(lease_id, phase, document, reserved, sealing_key)"
            " values(?, ?, ?, ?, ?)",
            (lease.lease_id, lease.phase.value, _encode(lease), _encode(reserved), sealing_key),
        )

    def sealing_key(self, lease_id: str) -> bytes:
        """The private key to what is sealed for a lease; empty if it has none."""
        row = self._db.execute(
            "select sealing_key from lease where lease_id=?", (lease_id,)
        ).fetchone()
        return row[0] if row else b""

    def save(self, lease: NodeLease) -> None:
        """Store what a lease has become; durable when this returns."""
        saved = self._db.execute(
            "update lease set phase=?, document=? where lease_id=?",
            (lease.phase.value, _encode(lease), lease.lease_id),
        )
        assert saved.rowcount == 1, "a lease is added before it is saved"

    def load(self) -> list[tuple[NodeLease, Reservation]]:
        """Every lease that is not forgotten, and what is reserved for it.

        Raises:
            JournalError: one cannot be read.
        """
        rows = self._db.execute("select lease_id, document, reserved from lease order by lease_id")
        found = []
        for lease_id, document, reserved in rows.fetchall():
            try:
                lease = msgspec.json.decode(document, type=NodeLease)
                found.append((lease, msgspec.json.decode(reserved, type=Reservation)))
            except msgspec.DecodeError as error:
                raise JournalError(
                    f"lease {lease_id} in the journal cannot be read: {error}: was it written by "
                    "a newer neurogrid-node? Upgrade this one"
                ) from error
        return found

    def forget(self, lease: PastLease) -> None:
        """A closed lease whose container and files are gone: only this line stays, of the newest ones."""
        document = msgspec.json.encode(lease).decode()
        self._db.execute("begin immediate")
        try:
            self._db.execute("delete from lease where lease_id=?", (lease.lease_id,))
            self._db.execute(
                "insert or replace into past_lease values(?, ?, ?)",
                (lease.lease_id, lease.ended_at_ms, document),
            )
            self._db.execute(
                "delete from past_lease where lease_id not in"
                " (select lease_id from past_lease order by ended_at_ms desc, lease_id limit ?)",
                (self._past_kept,),
            )
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def past(self, limit: int) -> list[PastLease]:
        """The leases that were, and what each has earned; the newest first."""
        rows = self._db.execute(
            "select document, coalesce(micro_usdc, 0) from past_lease left join earning using (lease_id)"
            " order by ended_at_ms desc, lease_id limit ?",
            (limit,),
        )
        return [
            replace(msgspec.json.decode(document, type=PastLease), earned_micro_usdc=earned)
            for document, earned in rows
        ]

    def save_profile(self, lease_id: str, profile_json: str) -> None:
        """Keep the sandbox profile that is applied; the result names its hash."""
        self._db.execute("update lease set profile=? where lease_id=?", (profile_json, lease_id))

    def profile(self, lease_id: str) -> str:
        """The profile as saved, "{}" if none was applied."""
        row = self._db.execute("select profile from lease where lease_id=?", (lease_id,)).fetchone()
        return row[0] if row else "{}"

    def save_log_position(self, lease_id: str, position: LogPosition) -> None:
        """Note how far the log file is written."""
        self._db.execute(
            "update lease set log_bytes=?, log_cursor=? where lease_id=?",
            (position.log_bytes, msgspec.json.encode(position.cursor).decode(), lease_id),
        )

    def log_position(self, lease_id: str) -> LogPosition:
        """How far the log file is written."""
        row = self._db.execute(
            "select log_bytes, log_cursor from lease where lease_id=?", (lease_id,)
        ).fetchone()
        if row is None:
            return LogPosition()
        return LogPosition(row[0], msgspec.json.decode(row[1], type=LogCursor))

    def save_starts(self, starts: StartHistory) -> None:
        """Keep how long starts have taken."""
        self._db.execute(
            "update start_history set document=?", (msgspec.json.encode(starts).decode(),)
        )

    def starts(self) -> StartHistory:
        """How long starts have taken; nothing where that cannot be read: it is only experience."""
        (document,) = self._db.execute("select document from start_history").fetchone()
        try:
            return msgspec.json.decode(document, type=StartHistory)
        except msgspec.DecodeError:
            return NOTHING_MEASURED

    def save_word(self, word: Word) -> None:
        """Keep what the owner has said of new work; durable when this returns."""
        self._db.execute("update owner_word set document=?", (msgspec.json.encode(word).decode(),))

    def word(self) -> Word:
        """What the owner has said last of new work.

        Raises:
            JournalError: it cannot be read: a node that was told to rest may not work because of that.
        """
        (document,) = self._db.execute("select document from owner_word").fetchone()
        try:
            return msgspec.json.decode(document, type=Word)
        except msgspec.DecodeError as error:
            raise JournalError(
                f"the owner's word in the journal cannot be read: {error}"
            ) from error

    def save_earning(self, lease_id: str, at_ms: int, micro_usdc: int, signature: str) -> None:
        """Note a redeemed voucher; repeating it changes nothing."""
        self._db.execute("begin immediate")
        try:
            self._db.execute(
                "insert or ignore into earning values(?, ?, ?, ?)",
                (lease_id, at_ms, micro_usdc, signature),
            )
            self._sum_up_old()
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    def earnings(self) -> Earned:
        """Sum of what was redeemed."""
        row = self._db.execute(
            "select count(*) + (select leases from old_earnings),"
            " coalesce(sum(micro_usdc), 0) + (select micro_usdc from old_earnings) from earning"
        ).fetchone()
        return Earned(*row)

    def earnings_after(self, at_ms: int, lease_id: str, limit: int) -> list[Earning]:
        """What was redeemed later than this Unix time, or then by a later lease; oldest first."""
        rows = self._db.execute(
            "select lease_id, at_ms, micro_usdc, signature from earning"
            " where (at_ms, lease_id) > (?, ?) order by at_ms, lease_id limit ?",
            (at_ms, lease_id, limit),
        )
        return [Earning(*row) for row in rows]

    def add_unpaid_use(self, lost: UnpaidUse) -> bool:
        """Note what a lease for use was served whose escrow never came; whether that is new."""
        self._db.execute("begin immediate")
        try:
            added = self._db.execute(
                "insert or ignore into unpaid_use values(?, ?, ?, ?)",
                (lost.lease_id, lost.coordinator, lost.at_ms, lost.micro_usdc),
            )
            self._db.execute(
                "delete from unpaid_use where lease_id not in"
                " (select lease_id from unpaid_use order by at_ms desc, lease_id limit ?)",
                (LOSSES_MAX,),
            )
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
        return added.rowcount == 1

    def unpaid_use(self) -> list[UnpaidUse]:
        """What was noted so of the newest, oldest first."""
        rows = self._db.execute(
            "select lease_id, coordinator, at_ms, micro_usdc from unpaid_use order by at_ms, lease_id"
        )
        return [UnpaidUse(*row) for row in rows]

    def _sum_up_old(self) -> None:
        """Keep only the sum of the oldest half once there are too many."""
        (listed,) = self._db.execute("select count(*) from earning").fetchone()
        if listed <= self._earnings_listed:
            return
        old = (
            "from earning where rowid in (select rowid from earning order by at_ms, lease_id"
            f" limit {listed // 2})"
        )
        self._db.execute(
            f"update old_earnings set leases = leases + (select count(*) {old}),"
            f" micro_usdc = micro_usdc + (select sum(micro_usdc) {old})"
        )
        self._db.execute(f"delete {old}")


class JournalThread:
    """The journal, used from worker threads, one call at a time."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._slot = trio.CapacityLimiter(1)

    async def call(
        self,
        use: Callable[Concatenate[Journal, P], T],
        *arguments: P.args,
        **options: P.kwargs,
    ) -> T:
        """``use(journal, ...)`` in a thread; a cancelled caller still waits for it to end.

        Raises:
            JournalError: the disk is full or broken.
        """

        def used() -> T:
            try:
                return use(self._journal, *arguments, **options)
            except sqlite3.Error as error:
                raise JournalError(f"the journal cannot be written: {error}") from error

        return await trio.to_thread.run_sync(used, limiter=self._slot)


def _encode(value: NodeLease | Reservation) -> bytes:
    return msgspec.json.encode(plain(value))
