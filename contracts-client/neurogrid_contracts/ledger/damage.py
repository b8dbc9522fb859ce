"""Whether a ledger's files are whole; found before anything is written to them.

SQLite survives the death of process or machine at any byte. It does not notice every other harm: a
copy that was cut short, a write-ahead log of another day, a rotten block. So every commit carries
the sums of all accounts and of all transactions, and a start adds them up again: a balance is the
one that was acknowledged, or the ledger does not start.
"""

import contextlib
import hashlib
import sqlite3
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from neurogrid_contracts.ledger.errors import DataDirectoryInvalid

SCHEMA_VERSION = 2
# Up to this size the whole file is checked, indices and history too, at about 50 MB/s. Beyond it:
# every account, and of the rest what SQLite itself stumbles over.
_FULL_CHECK_BYTES_MAX = 64 * 1024 * 1024
# The fact that every commit rewrites.
BOOKS = "books"
_BOOKS = struct.Struct("<16s16sQQ")
_MODULUS = 2**128
_ACCOUNT = struct.Struct("<32sqqB32s")
_TRANSACTION = struct.Struct("<QQQ")
_MAGIC = b"SQLite format 3\0"

ACCOUNT_COLUMNS = "address, lamports, data, owner, executable, rent_epoch"
TRANSACTION_COLUMNS = "id, signature, message_hash, slot, unix_time, raw, meta, error, memo"
# As it is stored: address, lamports, data, owner, executable, rent epoch.
AccountRow = tuple[bytes, int, bytes, bytes, int, int]


# As it is stored: id, signature, message hash, slot, Unix time, raw, meta, error, memo.
TransactionRow = tuple[int, bytes, bytes, int, int, bytes, str, str | None, str | None]


def account_digest(row: AccountRow) -> bytes:
    """16 bytes that change with every bit of an account."""
    address, lamports, data, owner, executable, rent_epoch = row
    fixed = _ACCOUNT.pack(address, lamports, rent_epoch, executable, owner)
    return hashlib.blake2b(fixed + data, digest_size=16).digest()


def transaction_digest(row: TransactionRow) -> bytes:
    """16 bytes that change with every bit of a transaction's row."""
    number, signature, message_hash, slot, unix_time, raw, meta, error, memo = row
    hasher = hashlib.blake2b(_TRANSACTION.pack(number, slot, unix_time), digest_size=16)
    # JSON text says where it ends, and the others' lengths follow; so no two rows look alike.
    hasher.update(b"".join((signature, message_hash, raw, meta.encode())))
    hasher.update(f"{len(raw)} {error!r} {memo!r}".encode())
    return hasher.digest()


@dataclass(frozen=True, slots=True)
class Books:
    """What a commit says of the state it leads to.

    Args:
        accounts, transactions: the sums of their digests, modulo 2**128.
        last_id: of the newest transaction.
        commits: how many there were; counts on through forks.
    """

    accounts: int = 0
    transactions: int = 0
    last_id: int = 0
    commits: int = 0

    def pack(self) -> bytes:
        sums = (each.to_bytes(16, "little") for each in (self.accounts, self.transactions))
        return _BOOKS.pack(*sums, self.last_id, self.commits)

    @classmethod
    def unpack(cls, text: bytes) -> Self:
        accounts, transactions, last_id, commits = _BOOKS.unpack(text)
        return cls(
            int.from_bytes(accounts, "little"),
            int.from_bytes(transactions, "little"),
            last_id,
            commits,
        )


def add(total: int, digests: Iterable[bytes], *, sign: int = 1) -> int:
    """The sum after rows with these digests came, or with ``sign`` -1 went."""
    for each in digests:
        total += sign * int.from_bytes(each, "little")
    return total % _MODULUS


def examine(path: Path) -> None:
    """Look through the database ``path`` without changing it.

    Raises:
        DataDirectoryInvalid: it is damaged, gone, not a ledger, or of another version.
    """
    if not _has_content(path):
        _expect_nothing(path)
        return
    try:
        problem = _beginning(path)
        if problem is None:
            # Read only, so that not even a checkpoint changes what an expert may still rescue.
            with contextlib.closing(_opened(path, "mode=ro")) as database:
                problem = _problem(database, path)
    except (sqlite3.Error, struct.error, TypeError) as error:
        problem = str(error)
    if problem is not None:
        raise _damaged(path, problem)


def _opened(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{options}", uri=True)


def _beginning(path: Path) -> str | None:
    """A file shorter than its first page SQLite takes for a new one, and deletes its log."""
    with path.open("rb") as file:
        head = file.read(18)
    if not head.startswith(_MAGIC[: len(head)]):
        return "file is not a database"
    page_bytes = int.from_bytes(head[16:18], "big")  # 1 stands for 65536
    if len(head) < 18 or path.stat().st_size < (65536 if page_bytes == 1 else page_bytes):
        return "it is cut short"
    return None


def _expect_nothing(path: Path) -> None:
    """A new directory, or one in which a first start was killed."""
    for witness in (path.with_name("faucet.json"), _log_of(path)):
        if _has_content(witness):
            raise _damaged(path, f"it is empty or gone, though {witness.name} is there")


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _log_of(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


def _problem(database: sqlite3.Connection, path: Path) -> str | None:
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        # Killed in its very first start; the tables come before the faucet's key.
        _expect_nothing(path)
        return None
    if version != SCHEMA_VERSION:
        raise DataDirectoryInvalid(
            f"{path} has schema {version}, and this program reads {SCHEMA_VERSION}: use the release"
            " that wrote it, or start a new ledger in an empty directory"
        )
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    bytes_wanted = pages * database.execute("PRAGMA page_size").fetchone()[0]
    full = bytes_wanted <= _FULL_CHECK_BYTES_MAX
    short = path.stat().st_size < bytes_wanted
    if short and not _has_content(_log_of(path)):
        return "it is cut short"
    if full or short:  # what a short file lacks has to be in the write-ahead log
        check = "integrity_check" if full else "quick_check"
        found = database.execute(f"PRAGMA {check}(1)").fetchone()[0]
        if found != "ok":
            return f"its pages do not fit together: {found}"
    return _unbalanced(database, path, history=full)


def _unbalanced(database: sqlite3.Connection, path: Path, *, history: bool) -> str | None:
    """Damage that only this ledger can see."""
    row = database.execute("SELECT value FROM fact WHERE name = ?", (BOOKS,)).fetchone()
    books = Books() if row is None else Books.unpack(row[0])
    if books.commits < _commits_without_log(path):
        return "its write-ahead log is older than it is"
    accounts = 0
    for *fields, stored in database.execute(f"SELECT {ACCOUNT_COLUMNS}, digest FROM account"):
        computed = account_digest(tuple(fields))
        if computed != stored:
            return f"the account {bytes(fields[0]).hex()} is not what was written"
        accounts = add(accounts, [computed])
    last_id = database.execute("SELECT coalesce(max(id), 0) FROM tx").fetchone()[0]
    if (books.accounts, books.last_id) != (accounts, last_id):
        return "its accounts do not add up to what was last committed"
    if history:
        rows = database.execute(f"SELECT {TRANSACTION_COLUMNS} FROM tx")
        if add(0, (transaction_digest(each) for each in rows)) != books.transactions:
            return "its transactions do not add up to what was last committed"
    return None


def _commits_without_log(path: Path) -> int:
    """How far the database itself has come; 0 when it cannot be read alone, in a checkpoint."""
    try:
        with contextlib.closing(_opened(path, "immutable=1")) as database:
            row = database.execute("SELECT value FROM fact WHERE name = ?", (BOOKS,)).fetchone()
            return 0 if row is None else Books.unpack(row[0]).commits
    except (sqlite3.Error, struct.error, TypeError):
        return 0


def _damaged(path: Path, problem: str) -> DataDirectoryInvalid:
    return DataDirectoryInvalid(
        f"{path} is damaged ({problem}); it was left as it is: restore a copy of the whole"
        " directory, or start a new ledger in an empty one"
    )
