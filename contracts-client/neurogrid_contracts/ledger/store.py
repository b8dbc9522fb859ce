"""The ledger's SQLite file: accounts, transactions, and the few facts a restart needs.

One executed transaction is one SQLite transaction: its row (the durable record against running it
twice) together with the after-image of every account it changed. Used by the owner thread alone.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature

from neurogrid_contracts.ledger import damage
from neurogrid_contracts.ledger.damage import BOOKS, SCHEMA_VERSION, Books
from neurogrid_contracts.ledger.errors import DataDirectoryInvalid

_SCHEMA = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    address    BLOB PRIMARY KEY,
    lamports   INTEGER NOT NULL,
    data       BLOB NOT NULL,
    owner      BLOB NOT NULL,
    executable INTEGER NOT NULL,
    rent_epoch INTEGER NOT NULL,    -- u64, stored as i64 of the same bits
    digest     BLOB NOT NULL        -- of the row; all of them add up to the fact "books"
) STRICT;

CREATE TABLE tx (
    id           INTEGER PRIMARY KEY,       -- order of execution
    signature    BLOB NOT NULL UNIQUE,
    message_hash BLOB NOT NULL UNIQUE,      -- as on a real node: one message runs once
    slot         INTEGER NOT NULL,
    unix_time    INTEGER NOT NULL,          -- seconds
    raw          BLOB NOT NULL,
    meta         TEXT NOT NULL,             -- the RPC's `meta` object
    error        TEXT,                      -- JSON; NULL when the transaction succeeded
    memo         TEXT,
    digest       BLOB NOT NULL              -- of the row
) STRICT;
CREATE INDEX tx_slot ON tx (slot);

CREATE TABLE mention (
    address BLOB NOT NULL,
    tx_id   INTEGER NOT NULL,
    PRIMARY KEY (address, tx_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX mention_tx ON mention (tx_id);

CREATE TABLE block (                        -- slots that hold a transaction
    slot      INTEGER PRIMARY KEY,
    blockhash BLOB NOT NULL,
    unix_time INTEGER NOT NULL
) STRICT;
"""

_TX_COLUMNS = "id, signature, slot, unix_time, raw, meta, error, memo"


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    """An executed transaction. ``unix_time`` in seconds; ``meta`` and ``error`` are JSON text."""

    id: int
    signature: Signature
    slot: int
    unix_time: int
    raw: bytes
    meta: str
    error: str | None
    memo: str | None


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A slot that holds at least one transaction. ``unix_time`` in seconds."""

    slot: int
    blockhash: bytes
    unix_time: int


class Store:
    """The open file. Every method raises ``sqlite3.Error`` when the disk fails."""

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        """Open or create ``path``.

        Raises:
            DataDirectoryInvalid: it is damaged, not a ledger, or of another version.
        """
        damage.examine(path)
        self._db = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(f"PRAGMA synchronous={'FULL' if fsync else 'NORMAL'}")
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                self._db.executescript(
                    f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
                )
            books = self.fact(BOOKS)
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise DataDirectoryInvalid(f"{path}: {error}") from error
        known = Books.unpack(books) if isinstance(books, bytes) else Books()
        self._accounts_sum = known.accounts
        self._transactions_sum = known.transactions
        self._last_id = known.last_id
        self._commits = known.commits

    def close(self) -> None:
        self._db.close()

    # Facts and accounts outside of transactions.

    def fact(self, name: str) -> int | bytes | None:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def put(
        self,
        *,
        facts: Iterable[tuple[str, int | bytes]] = (),
        accounts: Iterable[tuple[Pubkey, Account]] = (),
    ) -> None:
        """Write all of these in one commit."""
        with self._commit():
            self._db.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", facts)
            self._write_accounts(accounts)

    @contextlib.contextmanager
    def _commit(self) -> Iterator[None]:
        """One SQLite transaction, with the books of the state that it leads to."""
        before = (self._accounts_sum, self._transactions_sum, self._last_id)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._commits += 1
            books = Books(self._accounts_sum, self._transactions_sum, self._last_id, self._commits)
            self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (BOOKS, books.pack()))
        except BaseException:
            self._accounts_sum, self._transactions_sum, self._last_id = before
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        """Every account; executable ones last, for a program needs its programdata to be there."""
        for executable in (False, True):
            rows = self._db.execute(
                "SELECT address, lamports, data, owner, rent_epoch FROM account"
                " WHERE executable = ?",
                (executable,),
            )
            for address, lamports, data, owner, rent_epoch in rows:
                yield (
                    Pubkey(address),
                    Account(lamports, data, Pubkey(owner), executable, rent_epoch % 2**64),
                )

    def total_lamports(self) -> int:
        """The lamports of all accounts together."""
        row = self._db.execute("SELECT coalesce(sum(lamports), 0) FROM account").fetchone()
        return int(row[0])

    def richest(self, limit: int) -> list[tuple[Pubkey, int]]:
        """The accounts that hold most, and their lamports."""
        rows = self._db.execute(
            "SELECT address, lamports FROM account ORDER BY lamports DESC, address LIMIT ?",
            (limit,),
        )
        return [(Pubkey(address), lamports) for address, lamports in rows]

    def count_accounts(self) -> int:
        count: int = self._db.execute("SELECT count(*) FROM account").fetchone()[0]
        return count

    def _write_accounts(self, accounts: Iterable[tuple[Pubkey, Account | None]]) -> None:
        total = self._accounts_sum
        for address, account in accounts:
            key = (bytes(address),)
            old = self._db.execute("SELECT digest FROM account WHERE address = ?", key).fetchone()
            if old is not None:
                total = damage.add(total, old, sign=-1)
            if account is None:
                self._db.execute("DELETE FROM account WHERE address = ?", key)
                continue
            row = _row(address, account)
            digest = damage.account_digest(row)
            total = damage.add(total, [digest])
            self._db.execute(
                "INSERT OR REPLACE INTO account VALUES (?, ?, ?, ?, ?, ?, ?)", (*row, digest)
            )
        self._accounts_sum = total

    # Transactions.

    def commit_transaction(
        self,
        transaction: StoredTransaction,
        *,
        message_hash: bytes,
        blockhash: bytes,
        mentions: Iterable[Pubkey],
        changed: Sequence[tuple[Pubkey, Account | None]],
    ) -> None:
        """Write one executed transaction and what it did, in one commit.

        Args:
            transaction: its row; ``id`` is the caller's next number.
            message_hash: no two transactions may share it.
            blockhash: of the slot it ran in.
            mentions: every account it names.
            changed: after-images; None for an account that is gone.
        """
        row = (
            transaction.id,
            bytes(transaction.signature),
            message_hash,
            transaction.slot,
            transaction.unix_time,
            transaction.raw,
            transaction.meta,
            transaction.error,
            transaction.memo,
        )
        digest = damage.transaction_digest(row)
        with self._commit():
            self._db.execute(
                f"INSERT INTO tx ({damage.TRANSACTION_COLUMNS}, digest)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, digest),
            )
            self._transactions_sum = damage.add(self._transactions_sum, [digest])
            self._last_id = transaction.id
            self._db.executemany(
                "INSERT OR IGNORE INTO mention VALUES (?, ?)",
                [(bytes(address), transaction.id) for address in mentions],
            )
            self._db.execute(
                "INSERT OR IGNORE INTO block VALUES (?, ?, ?)",
                (transaction.slot, blockhash, transaction.unix_time),
            )
            self._write_accounts(changed)

    def fork(self, slot: int, accounts: Mapping[Pubkey, Account | None]) -> None:
        """Forget what happened after ``slot``, and put accounts back, in one commit."""
        with self._commit():
            rows = self._db.execute("SELECT id, digest FROM tx WHERE slot > ?", (slot,)).fetchall()
            self._drop(rows)
            self._db.execute("DELETE FROM block WHERE slot > ?", (slot,))
            self._write_accounts(accounts.items())

    def _drop(self, rows: Sequence[tuple[int, bytes]]) -> None:
        """Delete the transactions with these ids and digests."""
        ids = [(number,) for number, _ in rows]
        self._db.executemany("DELETE FROM mention WHERE tx_id = ?", ids)
        self._db.executemany("DELETE FROM tx WHERE id = ?", ids)
        self._transactions_sum = damage.add(
            self._transactions_sum, (digest for _, digest in rows), sign=-1
        )
        found = self._db.execute("SELECT coalesce(max(id), 0) FROM tx").fetchone()
        self._last_id = found[0]

    def last_id(self) -> int:
        """Of the newest transaction; 0 when there is none."""
        return self._last_id

    def latest_unix_time(self) -> int:
        row = self._db.execute("SELECT max(unix_time) FROM block").fetchone()
        return row[0] or 0

    def count_between(self, first_slot: int, last_slot: int) -> int:
        """How many transactions ran in these slots, both included."""
        row = self._db.execute(
            "SELECT count(*) FROM tx WHERE slot BETWEEN ? AND ?", (first_slot, last_slot)
        ).fetchone()
        return int(row[0])

    def knows(self, signature: Signature, message_hash: bytes) -> bool:
        """Whether this transaction, or the same message under other signatures, already ran."""
        row = self._db.execute(
            "SELECT 1 FROM tx WHERE signature = ? OR message_hash = ?",
            (bytes(signature), message_hash),
        ).fetchone()
        return row is not None

    def transaction(self, signature: Signature) -> StoredTransaction | None:
        row = self._db.execute(
            f"SELECT {_TX_COLUMNS} FROM tx WHERE signature = ?", (bytes(signature),)
        ).fetchone()
        return None if row is None else _stored(row)

    def transactions_in(self, slot: int) -> list[StoredTransaction]:
        rows = self._db.execute(f"SELECT {_TX_COLUMNS} FROM tx WHERE slot = ? ORDER BY id", (slot,))
        return [_stored(row) for row in rows]

    def newest(self, limit: int) -> list[StoredTransaction]:
        """The last transactions, newest first."""
        rows = self._db.execute(f"SELECT {_TX_COLUMNS} FROM tx ORDER BY id DESC LIMIT ?", (limit,))
        return [_stored(row) for row in rows]

    def transactions_after(self, slot: int) -> list[StoredTransaction]:
        """Everything younger than ``slot``, in the order of execution."""
        rows = self._db.execute(f"SELECT {_TX_COLUMNS} FROM tx WHERE slot > ? ORDER BY id", (slot,))
        return [_stored(row) for row in rows]

    def transactions_of(
        self,
        address: Pubkey,
        *,
        before_id: int | None,
        after_id: int | None,
        slot_max: int,
        limit: int,
    ) -> list[StoredTransaction]:
        """The newest transactions that name ``address``, newest first, ids exclusive."""
        rows = self._db.execute(
            "SELECT tx.id, signature, slot, unix_time, X'', '', error, memo"
            " FROM mention JOIN tx ON tx.id = mention.tx_id"
            " WHERE address = ? AND tx_id < ? AND tx_id > ? AND slot <= ?"
            " ORDER BY tx_id DESC LIMIT ?",
            (
                bytes(address),
                2**62 if before_id is None else before_id,
                0 if after_id is None else after_id,
                slot_max,
                limit,
            ),
        )
        return [_stored(row) for row in rows]

    def block(self, slot: int) -> StoredBlock | None:
        row = self._db.execute("SELECT * FROM block WHERE slot = ?", (slot,)).fetchone()
        return None if row is None else StoredBlock(*row)

    def block_before(self, slot: int) -> StoredBlock | None:
        row = self._db.execute(
            "SELECT * FROM block WHERE slot < ? ORDER BY slot DESC LIMIT 1", (slot,)
        ).fetchone()
        return None if row is None else StoredBlock(*row)

    def slots_with_blocks(self, first: int, last: int, limit: int) -> list[int]:
        rows = self._db.execute(
            "SELECT slot FROM block WHERE slot BETWEEN ? AND ? ORDER BY slot LIMIT ?",
            (first, last, limit),
        )
        return [row[0] for row in rows]

    def first_block_slot(self) -> int:
        row = self._db.execute("SELECT min(slot) FROM block").fetchone()
        return row[0] or 0

    def forget(self, *, id_max: int, slot_max: int, limit: int) -> int:
        """Drop at most ``limit`` of the oldest transactions; return how many went."""
        with self._commit():
            rows = self._db.execute(
                "SELECT id, digest FROM tx WHERE id <= ? AND slot <= ? ORDER BY id LIMIT ?",
                (id_max, slot_max, limit),
            ).fetchall()
            self._drop(rows)
            self._db.execute(
                "DELETE FROM block WHERE slot < (SELECT coalesce(min(slot), 0) FROM tx)"
            )
        return len(rows)


def _row(address: Pubkey, account: Account) -> damage.AccountRow:
    rent_epoch = account.rent_epoch
    return (
        bytes(address),
        account.lamports,
        account.data,
        bytes(account.owner),
        int(account.executable),
        rent_epoch - 2**64 if rent_epoch >= 2**63 else rent_epoch,
    )


def _stored(
    row: tuple[int, bytes, int, int, bytes, str, str | None, str | None],
) -> StoredTransaction:
    number, signature, slot, unix_time, raw, meta, error, memo = row
    return StoredTransaction(number, Signature(signature), slot, unix_time, raw, meta, error, memo)
