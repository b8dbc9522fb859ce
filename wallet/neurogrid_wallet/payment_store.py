"""Payments on disk: one owner, every commit forced to the disk before it returns. A SQLite file, or a table elsewhere.

Plain synchronous code; ``StoreThread`` calls it from one worker thread at a time.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio
import anyio.to_thread

from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.errors import (
    OutboxCorrupt,
    OutboxFull,
    OutboxInUse,
    PaymentConflict,
    SignerMissing,
)
from neurogrid_wallet.intent import Intent, decode_intent
from neurogrid_wallet.payment import (
    DECIDED,
    Payment,
    PaymentState,
    Signed,
    SignedTransaction,
    advance,
)

T = TypeVar("T")

# "NGob": tells our file from any other SQLite database.
_APPLICATION_ID = 0x4E476F62
_SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE payment (
    sequence INTEGER PRIMARY KEY,
    payment_id TEXT NOT NULL UNIQUE,
    identity BLOB NOT NULL,
    intent TEXT,                            -- cleared once decided
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    raw BLOB,                               -- cleared once decided
    signature TEXT UNIQUE,                  -- see sign_new
    last_valid_block_height INTEGER,
    signed_slot INTEGER,
    landed_slot INTEGER,
    failure TEXT,
    created_at_s INTEGER NOT NULL,
    decided_at_s INTEGER,
    two_endpoints INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX payment_undecided ON payment (state, sequence) WHERE decided_at_s IS NULL;
CREATE INDEX payment_decided ON payment (decided_at_s) WHERE decided_at_s IS NOT NULL;
"""

# From each older version to the next one.
_MIGRATIONS = {1: "ALTER TABLE payment ADD COLUMN two_endpoints INTEGER NOT NULL DEFAULT 0"}

_COLUMNS = (
    "payment_id, state, attempts, raw, signature, last_valid_block_height, signed_slot,"
    " landed_slot, failure, two_endpoints"
)

SignIntent = Callable[[Intent, int, int], SignedTransaction]
"""Signs an intent, after so many attempts that died. The last number is mixed into the bytes, so
that another one gives other bytes."""

# The number starts from a hash of the payment id and the attempt, so that payments of the same
# thing rarely meet, in other outboxes either; where they do, the next numbers are tried.
_VARIATIONS = 4096
_SIGNATURE_CHOICES_MAX = 64


class PaymentRows(Protocol):
    """What a statement found, or how many rows it changed."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class PaymentDatabase(Protocol):
    """A database with the table `payment`, of which we are the only owner for as long as it takes statements.

    ``?`` stands for a value. What COMMIT has returned for is on the disk.
    """

    def execute(self, sql: str, values: Sequence[object] = (), /) -> PaymentRows:
        """Carry a statement out."""

    def close(self) -> None:
        """Give it up."""


class PaymentStore:
    """The outbox's payments."""

    def __init__(self, place: Path | PaymentDatabase) -> None:
        """Open or create a file, or take a database of somebody else's.

        Raises:
            OutboxInUse: another process, or another store in this one, has the file open.
            OutboxCorrupt: it is something else, or of a newer version.
        """
        self._begin = "BEGIN"
        self._database = place if not isinstance(place, Path) else self._open(place)

    def _open(self, path: Path) -> PaymentDatabase:
        # So that no read can come before the lock.
        self._begin = "BEGIN IMMEDIATE"
        database = sqlite3.connect(
            path,
            isolation_level=None,
            # Calls come from whichever worker thread is free, never from two at once.
            check_same_thread=False,
            # One owner: whoever is locked out shall hear it at once.
            timeout=0,
        )
        try:
            self._prepare(database, path)
        except BaseException:
            database.close()
            raise
        return database

    def _prepare(self, database: sqlite3.Connection, path: Path) -> None:
        execute = database.execute
        try:
            # Before WAL, so that no other process can even read: two owners would pay twice.
            execute("PRAGMA locking_mode = EXCLUSIVE")
            execute("PRAGMA journal_mode = WAL")
            execute("PRAGMA synchronous = FULL")
            # Payments that are not decided yet are few; SQLite would keep 2 MB of those that are.
            execute("PRAGMA cache_size = -256")
            execute("BEGIN IMMEDIATE")
            (application_id,) = execute("PRAGMA application_id").fetchone()
            (version,) = execute("PRAGMA user_version").fetchone()
            (tables,) = execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if tables == 0:
                for statement in _SCHEMA.split(";")[:-1]:
                    execute(statement)
                execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif application_id != _APPLICATION_ID or not 0 < version <= _SCHEMA_VERSION:
                raise OutboxCorrupt(f"{path} is no outbox of version {_SCHEMA_VERSION}")
            else:
                for older in range(version, _SCHEMA_VERSION):
                    execute(_MIGRATIONS[older])
                execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise OutboxInUse(f"{path} is in use by another process") from error
            raise
        except sqlite3.DatabaseError as error:
            raise OutboxCorrupt(f"{path}: {error}") from error

    def close(self) -> None:
        """Give it up."""
        self._database.close()

    def add(
        self,
        payment_id: str,
        intent: Intent,
        undecided_max: int,
        *,
        two_endpoints: bool = False,
    ) -> Payment:
        """Store a new payment, or return the one that already has this id, as it was stored.

        Raises:
            PaymentConflict: the id names a payment of something else.
            OutboxFull: ``undecided_max`` payments are undecided.
        """
        identity = intent.identity()
        with self._transaction():
            row = self._database.execute(
                f"SELECT identity, {_COLUMNS} FROM payment WHERE payment_id = ?", (payment_id,)
            ).fetchone()
            if row is not None:
                if row[0] != identity:
                    raise PaymentConflict(payment_id, "the id names another payment already")
                return _payment(row[1:])
            if self.count_undecided() >= undecided_max:
                raise OutboxFull(payment_id, f"{undecided_max} payments are undecided already")
            self._database.execute(
                "INSERT INTO payment (payment_id, identity, intent, state, attempts, created_at_s,"
                " two_endpoints) VALUES (?, ?, ?, ?, 0, ?, ?)",
                (
                    payment_id,
                    identity,
                    intent.encode(),
                    PaymentState.NEW.value,
                    int(time.time()),
                    int(two_endpoints),
                ),
            )
        return Payment(payment_id, two_endpoints=two_endpoints)

    def get(self, payment_id: str) -> Payment | None:
        """The payment with this id."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM payment WHERE payment_id = ?", (payment_id,)
        ).fetchone()
        return None if row is None else _payment(row)

    def in_flight(self) -> list[Payment]:
        """Everything that was signed and is not decided, oldest first."""
        rows = self._database.execute(
            f"SELECT {_COLUMNS} FROM payment"
            " WHERE decided_at_s IS NULL AND state != 'new' ORDER BY sequence"
        )
        return [_payment(row) for row in rows]

    def sign_new(self, count_max: int, sign: SignIntent) -> tuple[list[Payment], dict[str, str]]:
        """Sign the oldest new payments and store their bytes; when this returns, send them.

        Two payments of the same thing, signed over the same blockhash, would be the same bytes,
        which the chain executes once: one of them would never be paid. So no signature is taken
        twice, and ``sign`` is asked for other bytes.

        Returns: the signed payments, and by payment id why others could not be signed.
        """
        signed: list[Payment] = []
        problems: dict[str, str] = {}
        with self._transaction():
            rows = self._database.execute(
                f"SELECT intent, {_COLUMNS} FROM payment"
                " WHERE decided_at_s IS NULL AND state = 'new' ORDER BY sequence LIMIT ?",
                (count_max,),
            ).fetchall()
            for intent, *row in rows:
                payment = _payment(row)
                try:
                    signed.append(self._sign(payment, decode_intent(intent), sign))
                except SignerMissing as error:
                    problems[payment.payment_id] = str(error)
        return signed, problems

    def unsigned(self, count_max: int) -> list[Intent]:
        """What ``sign_new`` would be asked to sign now, oldest first."""
        rows = self._database.execute(
            "SELECT intent FROM payment"
            " WHERE decided_at_s IS NULL AND state = 'new' ORDER BY sequence LIMIT ?",
            (count_max,),
        )
        return [decode_intent(intent) for (intent,) in rows]

    def undecided_ids(self) -> list[str]:
        """The payments that are not decided, oldest first."""
        rows = self._database.execute(
            "SELECT payment_id FROM payment WHERE decided_at_s IS NULL ORDER BY sequence"
        )
        return [payment_id for (payment_id,) in rows]

    def save(self, payments: Iterable[Payment]) -> None:
        """Store what became of these payments."""
        with self._transaction():
            for payment in payments:
                self._save(payment)

    def count_undecided(self) -> int:
        """How many payments are not decided."""
        (count,) = self._database.execute(
            "SELECT count(*) FROM payment WHERE decided_at_s IS NULL"
        ).fetchone()
        return int(count)

    def forget_decided(self, before_s: float, kept_max: int | None = None) -> int:
        """Delete what was decided before this Unix time, and of the rest all but the newest; its ids may then
        be paid again.

        Args:
            kept_max: how many decided payments stay; None: however many they are.
        """
        with self._transaction():
            count = self._database.execute(
                "DELETE FROM payment WHERE decided_at_s < ?", (int(before_s),)
            ).rowcount
            if kept_max is not None:
                count += self._database.execute(
                    "DELETE FROM payment WHERE decided_at_s IS NOT NULL AND sequence <="
                    " (SELECT sequence FROM payment WHERE decided_at_s IS NOT NULL"
                    " ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
                    (kept_max,),
                ).rowcount
            return count

    def forget(self, payment_id: str) -> bool:
        """Delete one decided payment; its id may then be paid again. False where there is none."""
        with self._transaction():
            return (
                self._database.execute(
                    "DELETE FROM payment WHERE payment_id = ? AND decided_at_s IS NOT NULL",
                    (payment_id,),
                ).rowcount
                == 1
            )

    def _sign(self, payment: Payment, intent: Intent, sign: SignIntent) -> Payment:
        seed = f"{payment.payment_id}/{payment.attempts}".encode()
        first = int.from_bytes(hashlib.sha256(seed).digest()[:2], "big") % _VARIATIONS
        for variation in range(first, first + _SIGNATURE_CHOICES_MAX):
            made = sign(intent, payment.attempts, variation)
            if self._is_taken(made.signature, payment.payment_id):
                continue
            signed = advance(payment, Signed(made))
            self._save(signed)
            return signed
        raise AssertionError(f"{_SIGNATURE_CHOICES_MAX} signatures in a row are taken")

    def _is_taken(self, signature: str, payment_id: str) -> bool:
        """Whether another payment has this signature."""
        row = self._database.execute(
            "SELECT 1 FROM payment WHERE signature = ? AND payment_id != ?", (signature, payment_id)
        ).fetchone()
        return row is not None

    def _save(self, payment: Payment) -> None:
        signed = payment.signed
        decided = payment.state in DECIDED
        self._database.execute(
            "UPDATE payment SET state = ?, attempts = ?, raw = ?, signature = ?,"
            " last_valid_block_height = ?, signed_slot = ?, landed_slot = ?, failure = ?,"
            " intent = CASE WHEN ? THEN NULL ELSE intent END, decided_at_s = ?"
            " WHERE payment_id = ?",
            (
                payment.state.value,
                payment.attempts,
                signed.raw if signed and not decided else None,
                signed.signature if signed else None,
                signed.last_valid_block_height if signed else None,
                signed.slot if signed else None,
                payment.landed_slot,
                json.dumps(asdict(payment.failure)) if payment.failure else None,
                decided,
                int(time.time()) if decided else None,
                payment.payment_id,
            ),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute(self._begin)
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


class StoreThread:
    """The store, used from worker threads, one call at a time."""

    def __init__(self, store: PaymentStore) -> None:
        self._store = store
        self._slot = anyio.CapacityLimiter(1)

    async def call(self, use: Callable[[PaymentStore], T]) -> T:
        """``use(store)`` in a thread. A cancelled caller still waits for it to end."""
        return await anyio.to_thread.run_sync(use, self._store, limiter=self._slot)


def _payment(row: Sequence[Any]) -> Payment:
    payment_id, state, attempts, raw, signature, last_valid, slot, landed_slot, *rest = row
    failure, two_endpoints = rest
    signed = None
    if signature is not None:
        # The bytes are gone once the payment is decided: nobody sends them again.
        signed = SignedTransaction(raw or b"", signature, last_valid, slot)
    return Payment(
        payment_id,
        PaymentState(state),
        attempts,
        signed,
        landed_slot,
        None if failure is None else TransactionFailure(**json.loads(failure)),
        bool(two_endpoints),
    )
