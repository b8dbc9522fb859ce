"""What a transaction goes through, and what is left of it after a restart."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    AdvanceNonceAccountParams,
    TransferParams,
    advance_nonce_account,
    create_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from contracts.ledger_world import SOL, World, error_code
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.errors import (
    DataDirectoryInvalid,
    Diverged,
    ProgramInvalid,
    RpcError,
)
from neurogrid_contracts.ledger.events import TransactionEvent
from neurogrid_contracts.ledger.ledger import Commitment, Ledger
from neurogrid_contracts.ledger.programs import install_programs
from neurogrid_contracts.program import elf_bytes

NONCE_ACCOUNT_LAMPORTS = 1_447_680


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "ledger")
    yield world
    world.ledger.close()


def test_a_payment_moves_money_and_costs_a_fee(world: World) -> None:
    payer, to = world.rich(10 * SOL), Keypair().pubkey()
    world.send(world.payment(payer, to, SOL))
    assert world.lamports(to) == SOL
    assert world.lamports(payer.pubkey()) == 9 * SOL - 5000


def test_the_same_bytes_run_once(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    world.send(raw)
    assert error_code(lambda: world.send(raw)) == "AlreadyProcessed"
    world.send(raw, skip_preflight=True)
    assert world.lamports(to) == SOL


def test_the_same_bytes_run_once_across_a_restart(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    world.send(raw)
    world.restart()
    assert error_code(lambda: world.send(raw)) == "AlreadyProcessed"
    world.send(raw, skip_preflight=True)
    assert world.lamports(to) == SOL


def test_one_message_runs_once_under_whatever_signature(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    raw = world.payment(payer, to, SOL)
    world.send(raw)
    decoded = VersionedTransaction.from_bytes(raw)
    other = VersionedTransaction.populate(decoded.message, [Signature.default()])
    # Its signature is not valid either; the store alone must already know the message.
    assert world.ledger.store.knows(other.signatures[0], bytes(decoded.message.hash()))


def test_a_restart_keeps_every_account(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    world.send(world.payment(payer, to, SOL))
    genesis = world.ledger.genesis
    world.restart()
    assert world.lamports(to) == SOL
    assert world.lamports(payer.pubkey()) == 99 * SOL - 5000
    assert world.ledger.genesis == genesis


def test_an_emptied_account_stays_gone_after_a_restart(world: World) -> None:
    payer, to = world.rich(2 * SOL), Keypair().pubkey()
    world.send(world.payment(payer, to, 2 * SOL - 5000))
    world.restart()
    assert world.ledger.svm.account(payer.pubkey()) is None
    assert world.lamports(to) == 2 * SOL - 5000


def test_a_restart_outlives_every_blockhash(world: World) -> None:
    payer = world.rich()
    before, last_valid = world.ledger.blockhash_at(Commitment.CONFIRMED)
    raw = world.payment(payer, Keypair().pubkey(), SOL)
    world.restart()
    assert world.ledger.svm.past.slot_of(before) is None
    assert world.ledger.slot_at(Commitment.FINALIZED) > last_valid
    assert error_code(lambda: world.send(raw)) == "BlockhashNotFound"


def test_a_blockhash_lives_for_150_slots(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    blockhash, last_valid = world.ledger.blockhash_at(Commitment.CONFIRMED)
    world.slots(150)
    assert world.ledger.slot == last_valid
    world.send(world.payment(payer, to, SOL, blockhash=blockhash))
    world.slots(1)
    late = world.payment(payer, to, 2 * SOL, blockhash=blockhash)
    assert error_code(lambda: world.send(late)) == "BlockhashNotFound"
    world.send(late, skip_preflight=True)  # dropped in silence, as by a cluster
    assert world.lamports(to) == SOL


def test_preflight_does_not_know_a_blockhash_newer_than_its_commitment(world: World) -> None:
    payer = world.rich()
    raw = world.payment(payer, Keypair().pubkey(), SOL)
    assert error_code(lambda: world.ledger.send(raw)) == "BlockhashNotFound"
    world.slots(2)
    world.ledger.send(raw)


def test_preflight_refuses_what_would_fail_and_charges_nothing(world: World) -> None:
    payer = world.rich()
    raw = world.payment(payer, Keypair().pubkey(), 1000 * SOL)
    assert error_code(lambda: world.send(raw)) == {"InstructionError": [0, {"Custom": 1}]}
    assert world.lamports(payer.pubkey()) == 100 * SOL


def test_without_preflight_a_failure_lands_and_pays_its_fee(world: World) -> None:
    payer = world.rich()
    raw = world.payment(payer, Keypair().pubkey(), 1000 * SOL)
    world.send(raw, skip_preflight=True)
    assert world.lamports(payer.pubkey()) == 100 * SOL - 5000
    stored = world.ledger.store.transaction(VersionedTransaction.from_bytes(raw).signatures[0])
    assert stored is not None
    assert stored.error == '{"InstructionError": [0, {"Custom": 1}]}'


def test_a_transaction_that_cannot_pay_its_fee_never_lands(world: World) -> None:
    raw = world.payment(Keypair(), Keypair().pubkey(), 1)
    world.send(raw, skip_preflight=True)
    signature = VersionedTransaction.from_bytes(raw).signatures[0]
    assert world.ledger.store.transaction(signature) is None
    assert error_code(lambda: world.send(raw)) == "AccountNotFound"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "failed to deserialize"),
        (bytes(100), "failed to deserialize"),
        (b"\xff" * 200, "failed to deserialize"),
        (bytes(1233), "too large"),
    ],
)
def test_bytes_that_are_no_transaction(world: World, raw: bytes, message: str) -> None:
    with pytest.raises(RpcError, match=message) as caught:
        world.send(raw)
    assert caught.value.code == -32602


def test_trailing_bytes_are_refused(world: World) -> None:
    raw = world.payment(world.rich(), Keypair().pubkey(), SOL)
    with pytest.raises(RpcError, match="trailing"):
        world.send(raw + b"\0")


def test_a_wrong_signature_is_refused_with_or_without_preflight(world: World) -> None:
    raw = bytearray(world.payment(world.rich(), Keypair().pubkey(), SOL))
    raw[1] ^= 1
    for skip_preflight in (False, True):
        with pytest.raises(RpcError, match="signature verification") as caught:
            world.send(bytes(raw), skip_preflight=skip_preflight)
        assert caught.value.code == -32003


def test_a_transaction_event_tells_what_changed(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    world.events.clear()
    world.send(world.payment(payer, to, SOL))
    (event,) = world.events
    assert isinstance(event, TransactionEvent)
    assert {address for address, _ in event.changed} == {payer.pubkey(), to}
    assert event.error is None
    assert Pubkey.default() in event.mentions


# A commit in doubt


def test_a_failed_commit_is_not_survived(world: World) -> None:
    payer = world.rich()
    raw = world.payment(payer, Keypair().pubkey(), SOL)
    world.events.clear()
    # From now on every insert fails, as on a full disk.
    world.ledger.store._db.execute("PRAGMA query_only = 1")
    with pytest.raises(Diverged) as caught:
        world.send(raw)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    assert world.events == []
    world.restart()
    assert world.lamports(payer.pubkey()) == 100 * SOL


# Durable nonces


def nonce_of(world: World, account: Pubkey) -> Hash:
    stored = world.ledger.svm.account(account)
    assert stored is not None
    return Hash(stored.data[40:72])


def advance_and_pay(
    world: World, nonce_account: Pubkey, nonce: Hash, payer: Keypair, to: Pubkey, lamports: int
) -> bytes:
    return world.sign(
        [
            advance_nonce_account(
                AdvanceNonceAccountParams(
                    nonce_pubkey=nonce_account, authorized_pubkey=payer.pubkey()
                )
            ),
            transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)),
        ],
        payer,
        blockhash=nonce,
    )


@pytest.fixture
def nonce_account(world: World) -> tuple[Pubkey, Keypair]:
    """A nonce account and its authority; old enough to be used."""
    authority, account = world.rich(), Keypair()
    world.send(
        world.sign(
            list(
                create_nonce_account(
                    authority.pubkey(),
                    account.pubkey(),
                    authority.pubkey(),
                    NONCE_ACCOUNT_LAMPORTS,
                )
            ),
            authority,
            account,
        )
    )
    world.slots(1)
    return account.pubkey(), authority


def test_a_nonce_outlives_blockhashes_and_serves_one_transaction(
    world: World, nonce_account: tuple[Pubkey, Keypair]
) -> None:
    account, authority = nonce_account
    to = Keypair().pubkey()
    nonce = nonce_of(world, account)
    first = advance_and_pay(world, account, nonce, authority, to, SOL)
    rival = advance_and_pay(world, account, nonce, authority, to, 2 * SOL)
    world.slots(200)
    world.restart()
    world.send(first)
    assert error_code(lambda: world.send(rival)) == "BlockhashNotFound"
    assert error_code(lambda: world.send(first)) == "AlreadyProcessed"
    assert world.lamports(to) == SOL


def test_a_nonce_takes_a_new_value_once_per_slot(
    world: World, nonce_account: tuple[Pubkey, Keypair]
) -> None:
    account, authority = nonce_account
    to = Keypair().pubkey()
    world.send(advance_and_pay(world, account, nonce_of(world, account), authority, to, SOL))
    again = advance_and_pay(world, account, nonce_of(world, account), authority, to, SOL)
    assert error_code(lambda: world.send(again)) == "BlockhashNotFound"
    world.slots(1)
    world.send(again)
    assert world.lamports(to) == 2 * SOL


def test_a_failed_transaction_uses_its_nonce_up(
    world: World, nonce_account: tuple[Pubkey, Keypair]
) -> None:
    account, authority = nonce_account
    nonce = nonce_of(world, account)
    failing = advance_and_pay(world, account, nonce, authority, Keypair().pubkey(), 1000 * SOL)
    world.send(failing, skip_preflight=True)
    assert nonce_of(world, account) != nonce
    advanced = nonce_of(world, account)
    world.restart()
    assert nonce_of(world, account) == advanced


def test_a_nonce_serves_its_authority_only(
    world: World, nonce_account: tuple[Pubkey, Keypair]
) -> None:
    account, _ = nonce_account
    stranger = world.rich()
    raw = advance_and_pay(
        world, account, nonce_of(world, account), stranger, Keypair().pubkey(), SOL
    )
    assert error_code(lambda: world.send(raw)) == "BlockhashNotFound"


def test_an_advance_without_accounts_is_refused(world: World) -> None:
    payer = world.rich()
    bare = Instruction(Pubkey.default(), (4).to_bytes(4, "little"), [])
    raw = world.sign([bare], payer, blockhash=Hash.new_unique())
    assert error_code(lambda: world.send(raw)) == "BlockhashNotFound"


# Finality and time


def test_finalized_reads_lag_by_the_finality(world: World) -> None:
    payer, to = world.rich(), Keypair().pubkey()
    world.slots(2)
    world.send(world.payment(payer, to, SOL))
    world.slots(1)
    world.send(world.payment(payer, to, 2 * SOL))
    assert (world.lamports(to), world.lamports(to, Commitment.FINALIZED)) == (3 * SOL, 0)
    world.slots(1)
    assert world.lamports(to, Commitment.FINALIZED) == SOL
    world.slots(1)
    assert world.lamports(to, Commitment.FINALIZED) == 3 * SOL


def test_finalized_program_accounts_lag_too(world: World) -> None:
    ledger, token = world.ledger, Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
    owner = Keypair().pubkey()
    world.slots(2)
    before = ledger.program_accounts(token, Commitment.PROCESSED)
    world.faucet.send_usdc(owner, 5)
    after = ledger.program_accounts(token, Commitment.PROCESSED)
    assert len(after) == len(before) + 1
    assert ledger.program_accounts(token, Commitment.FINALIZED) == before
    world.slots(2)
    assert ledger.program_accounts(token, Commitment.FINALIZED) == after


def test_finality_of_zero_slots_is_at_once(tmp_path: Path) -> None:
    world = World(tmp_path / "ledger", finality_slots=0)
    payer, to = world.rich(), Keypair().pubkey()
    world.ledger.send(world.payment(payer, to, SOL))
    assert world.lamports(to, Commitment.FINALIZED) == SOL
    world.ledger.close()


def test_the_clock_never_runs_backwards(world: World) -> None:
    world.rich()
    began_s = world.ledger.svm.unix_time
    world.now_s -= 1000
    world.slots(1)
    assert world.ledger.svm.unix_time == began_s
    world.restart()
    assert world.ledger.svm.unix_time == began_s


def test_a_warp_survives_a_restart(world: World) -> None:
    world.ledger.warp(seconds=86_400, slots=1000)
    slot = world.ledger.slot
    assert world.ledger.svm.unix_time == world.now_s + 86_400
    _, last_valid = world.ledger.blockhash_at(Commitment.FINALIZED)
    assert last_valid == slot - 2 + 150
    world.restart()
    assert world.ledger.svm.unix_time == world.now_s + 86_400
    assert world.ledger.slot > slot + 150


# Genesis and programs


def test_the_faucets_key_is_for_the_owner_only(world: World) -> None:
    assert (world.data / "faucet.json").stat().st_mode & 0o777 == 0o600


def test_another_faucet_key_is_refused(world: World) -> None:
    world.ledger.close()
    (world.data / "faucet.json").write_text(str(list(bytes(Keypair()))))
    with pytest.raises(DataDirectoryInvalid, match="faucet"):
        Ledger(LedgerConfig(data=world.data))


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(DataDirectoryInvalid, match="not a database"):
        Ledger(LedgerConfig(data=tmp_path))


def test_a_store_of_another_version_is_refused(world: World) -> None:
    world.ledger.store._db.execute("PRAGMA user_version = 99")
    world.ledger.close()
    with pytest.raises(DataDirectoryInvalid, match="schema 99"):
        Ledger(LedgerConfig(data=world.data))


def call_program(world: World, program: Pubkey, payer: Keypair) -> object:
    """The error of a call with nonsense: a program that is there gives one of its own."""
    nonsense = Instruction(program, b"\xff", [AccountMeta(payer.pubkey(), True, True)])
    raw = world.sign([nonsense], payer)
    return error_code(lambda: world.send(raw))


def test_the_neurogrid_program_runs_and_still_does_after_a_restart(world: World) -> None:
    program = world.ledger.genesis.program_id
    payer = world.rich()
    assert call_program(world, program, payer) in (
        "InvalidProgramForExecution",
        "ProgramAccountNotFound",
    )
    install_programs(world.ledger, LedgerConfig(data=world.data))
    refused = call_program(world, program, payer)
    assert isinstance(refused, dict)
    assert "Custom" in refused["InstructionError"][1]
    world.restart()
    assert call_program(world, program, payer) == refused
    assert world.ledger.svm.program_elf(program) == elf_bytes()


def test_an_installed_program_stays_until_it_is_upgraded(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    program = world.ledger.genesis.program_id
    payer = world.rich()
    old = elf_bytes() + bytes(8)  # trailing zeros change nothing but the comparison
    world.ledger.install_program(program, old)
    install_programs(world.ledger, LedgerConfig(data=world.data))
    assert "--upgrade-program" in caplog.text
    assert world.ledger.svm.program_elf(program) == old
    install_programs(world.ledger, LedgerConfig(data=world.data, upgrade_program=True))
    assert world.ledger.svm.program_elf(program) == elf_bytes()
    assert isinstance(call_program(world, program, payer), dict)


def test_a_file_that_is_no_program_is_refused(world: World, tmp_path: Path) -> None:
    bad = tmp_path / "bad.so"
    bad.write_bytes(b"\x7fELF and then nothing")
    program = Keypair().pubkey()
    for path in (bad, tmp_path / "missing.so"):
        with pytest.raises(ProgramInvalid):
            install_programs(
                world.ledger,
                LedgerConfig(data=world.data, load_program=False, programs=((program, path),)),
            )
    assert world.ledger.svm.account(program) is None


# History


def test_old_transactions_are_forgotten_but_never_young_ones(world: World) -> None:
    payer = world.rich()
    raws = [world.payment(payer, Keypair().pubkey(), SOL // 100 + i) for i in range(1100)]
    for raw in raws:
        world.send(raw, skip_preflight=True)
    store = world.ledger.store
    first = VersionedTransaction.from_bytes(raws[0]).signatures[0]
    world.slots(200)
    assert store.transaction(first) is not None  # beyond the limit, but too young
    world.slots(300)
    assert store.transaction(first) is None
    assert store.last_id() == 1101
    assert (
        len(
            store.transactions_of(
                payer.pubkey(), before_id=None, after_id=None, slot_max=10**9, limit=2000
            )
        )
        == 1000
    )
    world.restart()
    assert store is not world.ledger.store
    assert world.lamports(payer.pubkey()) > 0
