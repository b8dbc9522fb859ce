import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.chain import Commitment, SignatureStatus, TransactionFailure
from neurogrid_wallet.errors import OutboxCorrupt, OutboxInUse, SignerMissing
from neurogrid_wallet.intent import Intent, decode_intent
from neurogrid_wallet.payment import Landed, Payment, PaymentState, SignedTransaction, advance
from neurogrid_wallet.payment_store import PaymentStore
from neurogrid_wallet.transactions import ComputeBudget

PAYER = Pubkey(b"p" * 32)
INTENT = Intent(PAYER, (Instruction(PAYER, b"data", []),), (), ComputeBudget())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[PaymentStore]:
    store = PaymentStore(path)
    yield store
    store.close()


def _sign(intent: Intent, dead_attempts: int, variation: int) -> SignedTransaction:
    return SignedTransaction(b"raw", f"signature {variation}", 150, 7)


def _sign_alike(intent: Intent, dead_attempts: int, variation: int) -> SignedTransaction:
    """Hardly any choice: as if several payments of one thing began at the same number."""
    return SignedTransaction(b"raw", f"signature {variation % 4}", 150, 7)


def _rows(path: Path, columns: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as database:
        rows = database.execute(f"SELECT {columns} FROM payment ORDER BY sequence").fetchall()
    database.close()
    return rows


def test_no_two_payments_get_the_same_signature(store: PaymentStore) -> None:
    for number in range(4):
        store.add(f"id {number}", INTENT, 100)
    signed, _ = store.sign_new(4, _sign_alike)
    assert sorted(payment.signature or "" for payment in signed) == [
        f"signature {number}" for number in range(4)
    ]


def test_payments_of_one_batch_are_stored_together_or_not_at_all(store: PaymentStore) -> None:
    for number in range(5):
        store.add(f"id {number}", INTENT, 100)
    # There is no fifth signature.
    with pytest.raises(AssertionError, match="taken"):
        store.sign_new(5, _sign_alike)
    assert store.in_flight() == []
    assert store.get("id 0") == Payment("id 0")


def test_the_oldest_payments_are_signed_first(store: PaymentStore) -> None:
    for number in range(5):
        store.add(f"id {number}", INTENT, 100)
    first, _ = store.sign_new(2, _sign)
    rest, _ = store.sign_new(10, _sign)
    assert [payment.payment_id for payment in first] == ["id 0", "id 1"]
    assert [payment.payment_id for payment in rest] == ["id 2", "id 3", "id 4"]
    assert store.in_flight() == [*first, *rest]


def test_what_cannot_be_signed_is_left_and_named(store: PaymentStore) -> None:
    store.add("good", INTENT, 100)
    store.add("bad", replace(INTENT, payer=Pubkey(b"x" * 32)), 100)

    def sign(intent: Intent, dead_attempts: int, variation: int) -> SignedTransaction:
        if intent.payer != PAYER:
            raise SignerMissing("no key")
        return _sign(intent, dead_attempts, variation)

    signed, problems = store.sign_new(10, sign)
    assert [payment.payment_id for payment in signed] == ["good"]
    assert problems == {"bad": "no key"}
    assert store.get("bad") == Payment("bad")


def test_what_was_signed_is_there_after_a_restart(store: PaymentStore, path: Path) -> None:
    store.add("id", INTENT, 100)
    signed, _ = store.sign_new(1, _sign)
    store.close()
    again = PaymentStore(path)
    assert again.in_flight() == signed
    assert again.get("id") == signed[0]
    again.close()


def test_decided_payments_keep_their_outcome_and_lose_their_bytes(
    store: PaymentStore, path: Path
) -> None:
    for name in ("good", "bad", "open"):
        store.add(name, replace(INTENT, instructions=(Instruction(PAYER, b"d", []),)), 100)
    payments, _ = store.sign_new(3, _sign)
    failure = TransactionFailure("Custom", 2, 6001)
    good, bad = (
        advance(payment, Landed(payment.signature or "", SignatureStatus(9, commitment, why)))
        for payment, commitment, why in (
            (payments[0], Commitment.FINALIZED, None),
            (payments[1], Commitment.FINALIZED, failure),
        )
    )
    store.save([good, bad])
    assert store.count_undecided() == 1
    assert [payment.payment_id for payment in store.in_flight()] == ["open"]
    for decided in (good, bad):
        stored = store.get(decided.payment_id)
        assert stored is not None
        assert stored.signed is not None
        assert decided.signed is not None
        assert stored == replace(decided, signed=replace(decided.signed, raw=b""))
    store.close()
    assert _rows(path, "intent IS NULL, raw IS NULL") == [(1, 1), (1, 1), (0, 0)]


def test_a_dead_attempt_is_gone(store: PaymentStore) -> None:
    store.add("id", INTENT, 100)
    [signed], _ = store.sign_new(1, _sign)
    store.save([replace(signed, state=PaymentState.NEW, signed=None)])
    assert store.get("id") == Payment("id", attempts=1)
    assert store.in_flight() == []
    [again], _ = store.sign_new(1, _sign)
    assert again.attempts == 2
    assert again.signature != signed.signature


def test_every_commit_reaches_the_disk(store: PaymentStore) -> None:
    pragma = store._database.execute
    assert pragma("PRAGMA synchronous").fetchone() == (2,)
    assert pragma("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_file_in_use_is_refused(store: PaymentStore, path: Path) -> None:
    with pytest.raises(OutboxInUse):
        PaymentStore(path)
    store.close()
    PaymentStore(path).close()


def test_another_file_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)
    before = path.read_bytes()
    with pytest.raises(OutboxCorrupt):
        PaymentStore(path)
    assert path.read_bytes() == before


def test_another_database_is_refused(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE something (else_ INTEGER)")
    database.close()
    with pytest.raises(OutboxCorrupt):
        PaymentStore(path)


def test_a_newer_version_is_refused(store: PaymentStore, path: Path) -> None:
    store.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 3")
    database.close()
    with pytest.raises(OutboxCorrupt, match="version"):
        PaymentStore(path)


def test_a_file_of_the_first_version_is_read_on(store: PaymentStore, path: Path) -> None:
    store.add("old", INTENT, 100)
    store.close()
    database = sqlite3.connect(path)
    database.execute("ALTER TABLE payment DROP COLUMN two_endpoints")
    database.execute("PRAGMA user_version = 1")
    database.close()
    for _ in range(2):
        again = PaymentStore(path)
        assert again.get("old") == Payment("old")
        again.close()


def test_how_many_endpoints_decide_survives_a_restart(store: PaymentStore, path: Path) -> None:
    store.add("large", INTENT, 100, two_endpoints=True)
    store.close()
    again = PaymentStore(path)
    # As it was stored, whatever is asked for now.
    assert again.add("large", INTENT, 100) == Payment("large", two_endpoints=True)
    again.close()


def test_only_what_is_decided_can_be_forgotten(store: PaymentStore) -> None:
    for number in range(3):
        store.add(f"id {number}", INTENT, 100)
    assert store.unsigned(2) == [INTENT, INTENT]
    [signed], _ = store.sign_new(1, _sign)
    status = SignatureStatus(9, Commitment.FINALIZED, None)
    assert not store.forget("id 0")
    store.save([advance(signed, Landed(signed.signature or "", status))])
    assert store.undecided_ids() == ["id 1", "id 2"]
    assert [store.forget(f"id {number}") for number in range(3)] == [True, False, False]
    assert store.get("id 0") is None
    assert store.get("id 1") is not None


_keys = st.binary(min_size=32, max_size=32).map(Pubkey)
_instructions = st.builds(
    Instruction,
    _keys,
    st.binary(max_size=50),
    st.lists(st.builds(AccountMeta, _keys, st.booleans(), st.booleans()), max_size=4),
)
_tables = st.builds(AddressLookupTableAccount, _keys, st.lists(_keys, max_size=3))
_budgets = st.builds(ComputeBudget, st.integers(1, 1_400_000), st.integers(0, 2**64 - 1))
_intents = st.builds(
    Intent,
    _keys,
    st.lists(_instructions, max_size=3).map(tuple),
    st.lists(_tables, max_size=2).map(tuple),
    _budgets,
)


@given(_intents)
def test_an_intent_survives_being_stored(intent: Intent) -> None:
    again = decode_intent(intent.encode())
    assert again.encode() == intent.encode()
    assert again.identity() == intent.identity()
    assert (again.payer, again.instructions) == (intent.payer, intent.instructions)
    assert again.compute == intent.compute


@given(_intents, _budgets)
def test_the_budget_is_no_part_of_what_is_paid(intent: Intent, budget: ComputeBudget) -> None:
    assert replace(intent, compute=budget).identity() == intent.identity()


@given(_intents, _intents)
def test_another_intent_has_another_identity(first: Intent, second: Intent) -> None:
    same = replace(first, compute=second.compute).encode() == second.encode()
    assert (first.identity() == second.identity()) == same


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"version":2}', INTENT.encode().replace("data", "x", 1), "null"],
)
def test_a_damaged_intent_is_refused(text: str) -> None:
    with pytest.raises(OutboxCorrupt):
        decode_intent(text)
