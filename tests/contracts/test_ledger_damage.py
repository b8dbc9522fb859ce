"""Files of a busy ledger, cut or torn anywhere: what was acknowledged, or a named refusal.

The files are real: SQLite's database and write-ahead log as a kill -9 leaves them. A dense, seeded
sample of lengths stands for all of them, with every border between two frames and its neighbours.
"""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from contracts.ledger_world import SOL, World
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.damage import BOOKS, Books
from neurogrid_contracts.ledger.errors import DataDirectoryInvalid
from neurogrid_contracts.ledger.ledger import Ledger
from neurogrid_contracts.ledger.store import Store

PAYMENTS = 25
SAMPLES = 50
# Of SQLite's file format: the log's header, and a frame's header before its page.
LOG_HEADER_BYTES, FRAME_HEADER_BYTES, PAGE_BYTES = 32, 24, 4096
FRAME_BYTES = FRAME_HEADER_BYTES + PAGE_BYTES


@dataclass(frozen=True)
class State:
    """All that a ledger holds: its accounts, and its transactions in their order.

    The count of commits tells a state from an equal one that a fork came back to.
    """

    accounts: dict[Pubkey, Account]
    signatures: tuple[Signature, ...]
    commits: int


@dataclass(frozen=True)
class Files:
    """A ledger's files as a dead process left them, and every state that was acknowledged.

    Args:
        acknowledged: the states, oldest first, each with the length of the log by then.
    """

    database: bytes
    log: bytes
    acknowledged: list[tuple[State, int]]

    @property
    def newest(self) -> int:
        return len(self.acknowledged) - 1

    def index(self, state: State) -> int:
        """Which of the acknowledged states it is; it has to be one."""
        return [known for known, _ in self.acknowledged].index(state)


def state_of(store: Store) -> State:
    signatures = tuple(each.signature for each in store.transactions_after(0))
    for signature in signatures:
        assert store.transaction(signature) is not None  # by the index too
    books = store.fact(BOOKS)
    assert isinstance(books, bytes)
    return State(dict(store.accounts()), signatures, Books.unpack(books).commits)


def busy(data: Path, *, checkpoint_after: int | None, mode: str = "RESTART") -> Files:
    """Pay again and again, with forks and one checkpoint on the way."""
    world = World(data, finality_slots=3)
    path, log = data / "ledger.sqlite", data / "ledger.sqlite-wal"
    acknowledged: list[tuple[State, int]] = []

    def note() -> None:
        acknowledged.append((state_of(world.ledger.store), log.stat().st_size))

    payer = world.rich(1000 * SOL)
    note()
    targets = [Keypair().pubkey() for _ in range(5)]
    world.slots(3)

    for number in range(PAYMENTS):
        world.send(world.payment(payer, targets[number % 5], SOL + number), skip_preflight=True)
        note()
        if number % 4 == 3:
            world.slots(1)
        if number % 10 == 9:
            world.control("neurogrid_fork", slots=2)
            note()
        if number + 1 == checkpoint_after:
            with sqlite3.connect(path) as other:
                other.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
            other.close()
    files = Files(path.read_bytes(), log.read_bytes(), acknowledged)
    world.ledger.close()
    return files


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Everything is in the log."""
    return busy(tmp_path_factory.mktemp("logged"), checkpoint_after=None)


@pytest.fixture(scope="module")
def half_moved(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A checkpoint in the middle; the log began anew over its old frames."""
    return busy(tmp_path_factory.mktemp("half"), checkpoint_after=PAYMENTS // 2)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A checkpoint at the end, and the log still as it was before."""
    return busy(tmp_path_factory.mktemp("moved"), checkpoint_after=PAYMENTS, mode="PASSIVE")


def lengths(size: int, seed: int, *, border: int, step: int) -> Iterator[int]:
    """Every border between two blocks with its neighbours, thinned out, and random ones."""
    chance = random.Random(seed)
    borders = [at + by for at in range(border, size, step) for by in (-1, 0, 1, FRAME_HEADER_BYTES)]
    inside = [at for at in borders if 0 <= at < size]
    yield from chance.sample(inside, min(len(inside), SAMPLES))
    yield from (chance.randrange(size) for _ in range(SAMPLES))
    yield from (0, 1, size - 1, size)


def log_lengths(files: Files, seed: int) -> Iterator[int]:
    yield from lengths(len(files.log), seed, border=LOG_HEADER_BYTES, step=FRAME_BYTES)


def database_lengths(files: Files, seed: int) -> Iterator[int]:
    yield from lengths(len(files.database), seed, border=0, step=PAGE_BYTES)


def reopened(data: Path, database: bytes, log: bytes | None, files: Files) -> int | None:
    """Open such files: which acknowledged state they show; None if they are refused, untouched.

    Before the first of the states noted there was a beginning, which is -1.
    """
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    path = data / "ledger.sqlite"
    path.write_bytes(database)
    (data / "faucet.json").write_text("[]")
    log_path = data / "ledger.sqlite-wal"
    if log is not None:
        log_path.write_bytes(log)
    try:
        store = Store(path, fsync=False)
    except DataDirectoryInvalid:
        assert path.read_bytes() == database
        assert log is None or log_path.read_bytes() == log
        return None
    try:
        if not store.last_id():
            return -1
        state = state_of(store)
    finally:
        store.close()
    return files.index(state)


def test_a_log_cut_anywhere_keeps_what_was_acknowledged_before(
    tmp_path: Path, logged: Files
) -> None:
    found = {}
    for length in log_lengths(logged, seed=1):
        shown = reopened(tmp_path / "l", logged.database, logged.log[:length], logged)
        # Refused where not even the tables are there: that is no ledger, and yet has a faucet.
        found[length] = -1 if shown is None else shown
    assert found[len(logged.log)] == logged.newest
    in_order = [found[length] for length in sorted(found)]
    assert in_order == sorted(in_order)
    assert len(set(in_order)) > PAYMENTS // 2
    for length, shown in found.items():
        by_then = [at for at, (_, size) in enumerate(logged.acknowledged) if size <= length]
        assert shown >= max(by_then, default=-1)


@pytest.mark.parametrize("seed", [2, 3])
def test_a_log_that_begins_anew_is_cut_as_safely(
    tmp_path: Path, half_moved: Files, seed: int
) -> None:
    found = {
        reopened(tmp_path / "l", half_moved.database, half_moved.log[:length], half_moved)
        for length in log_lengths(half_moved, seed)
    }
    assert half_moved.newest in found
    assert len(found) > PAYMENTS // 4


def test_a_torn_tail_of_the_log_counts_as_cut(tmp_path: Path, half_moved: Files) -> None:
    chance = random.Random(4)
    for length in log_lengths(half_moved, seed=4):
        torn = half_moved.log[:length] + chance.randbytes(min(200, len(half_moved.log) - length))
        torn += half_moved.log[len(torn) :]
        reopened(tmp_path / "l", half_moved.database, torn, half_moved)


def test_a_log_older_than_its_database_is_found_out(tmp_path: Path, moved: Files) -> None:
    outcomes = [
        reopened(tmp_path / "l", moved.database, moved.log[:length], moved)
        for length in log_lengths(moved, seed=5)
    ]
    assert outcomes.count(None) > SAMPLES
    assert moved.newest in outcomes


@pytest.mark.parametrize("with_log", [True, False])
def test_a_database_cut_anywhere_is_refused_and_left_alone(
    tmp_path: Path, half_moved: Files, moved: Files, *, with_log: bool
) -> None:
    files = half_moved if with_log else moved
    log = files.log if with_log else None
    whole = len(files.database)
    outcomes = {
        length: reopened(tmp_path / "l", files.database[:length], log, files)
        for length in database_lengths(files, seed=6)
    }
    assert outcomes.pop(whole) == files.newest
    served = {length: last for length, last in outcomes.items() if last is not None}
    # Only where the log still holds every page that is missing.
    assert with_log or not served
    assert set(served.values()) <= {files.newest}


def test_rotten_bytes_never_show_as_a_balance(tmp_path: Path, moved: Files) -> None:
    chance = random.Random(7)
    refused = 0
    for length in database_lengths(moved, seed=7):
        rotten = chance.randbytes(min(64, len(moved.database) - length))
        database = moved.database[:length] + rotten + moved.database[length + len(rotten) :]
        refused += reopened(tmp_path / "l", database, None, moved) is None
    assert refused > SAMPLES // 2


def test_one_flipped_digit_of_a_balance_is_named(tmp_path: Path) -> None:
    world = World(tmp_path / "ledger")
    rich = world.rich()
    world.ledger.close()
    with sqlite3.connect(world.data / "ledger.sqlite") as database:
        database.execute(
            "UPDATE account SET lamports = lamports + 1 WHERE address = ?", (bytes(rich.pubkey()),)
        )
    database.close()
    with pytest.raises(DataDirectoryInvalid, match=bytes(rich.pubkey()).hex()):
        Ledger(LedgerConfig(data=world.data))


@pytest.mark.parametrize("table", ["account", "tx", "fact"])
def test_a_lost_row_is_missed(tmp_path: Path, table: str) -> None:
    world = World(tmp_path / "ledger")
    world.rich()
    world.ledger.close()
    condition = "name = 'books'" if table == "fact" else "1"
    with sqlite3.connect(world.data / "ledger.sqlite") as database:
        database.execute(f"DELETE FROM {table} WHERE {condition}")
    database.close()
    with pytest.raises(DataDirectoryInvalid, match="add up"):
        Ledger(LedgerConfig(data=world.data))


@pytest.mark.parametrize("left", [None, b""])
def test_a_database_that_is_gone_is_not_begun_anew(tmp_path: Path, left: bytes | None) -> None:
    world = World(tmp_path / "ledger")
    world.ledger.close()
    path = world.data / "ledger.sqlite"
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    with pytest.raises(DataDirectoryInvalid, match="empty or gone, though faucet"):
        Ledger(LedgerConfig(data=world.data))
    assert path.exists() == (left is not None)


def test_a_first_start_that_was_killed_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    ledger = Ledger(LedgerConfig(data=tmp_path, fsync=False))
    ledger.close()
