"""Processed, confirmed, finalized; and slots that a fork takes back."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from contracts.ledger_process import LedgerProcess
from contracts.ledger_world import SOL, World, base64_text, error_code
from neurogrid_contracts.ledger.config import LedgerConfig
from neurogrid_contracts.ledger.events import ForkEvent, SlotEvent
from neurogrid_contracts.ledger.faucet import associated_token_account
from neurogrid_contracts.ledger.ledger import Commitment
from neurogrid_contracts.program import elf_bytes

PROCESSED, CONFIRMED, FINALIZED = (
    {"commitment": name} for name in ("processed", "confirmed", "finalized")
)
EVERY = [PROCESSED, CONFIRMED, FINALIZED]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Confirmed after two slots, final after five; the first slots are final already."""
    world = World(tmp_path / "ledger", confirmation_slots=2, finality_slots=5)
    world.slots(6)
    yield world
    world.ledger.close()


def settled(world: World, lamports: int = 100 * SOL) -> Keypair:
    """A new account with money that no fork takes back."""
    keypair = world.rich(lamports)
    world.slots(5)
    return keypair


def signature_of(raw: bytes) -> str:
    return str(VersionedTransaction.from_bytes(raw).signatures[0])


def status(world: World, signature: str) -> Any:
    return world.call("getSignatureStatuses", [signature])["value"][0]


def send(world: World, raw: bytes) -> str:
    world.ledger.send(raw, skip_preflight=True)
    return signature_of(raw)


def send_confirmed(world: World, raw: bytes) -> str:
    options = {"encoding": "base64", "preflightCommitment": "confirmed"}
    return str(world.call("sendTransaction", base64_text(raw), options))


# Commitments


def test_slots_blockhashes_and_contexts_differ_by_commitment(world: World) -> None:
    slot = world.ledger.slot
    at = dict(zip(("processed", "confirmed", "finalized"), (slot, slot - 2, slot - 5), strict=True))
    hashes = set()
    for name, expected in at.items():
        options = {"commitment": name}
        assert world.call("getSlot", options) == expected
        assert world.call("getBlockHeight", options) == expected
        latest = world.call("getLatestBlockhash", options)
        assert latest["context"]["slot"] == expected
        assert latest["value"]["lastValidBlockHeight"] == expected + 150
        hashes.add(latest["value"]["blockhash"])
        assert world.call("getBalance", str(Pubkey.default()), options)["context"]["slot"] == (
            expected
        )
    assert len(hashes) == 3


@pytest.mark.parametrize("known", range(3))
def test_a_blockhash_is_known_from_its_own_commitment_down(world: World, known: int) -> None:
    text = world.call("getLatestBlockhash", EVERY[known])["value"]["blockhash"]
    valid = [world.call("isBlockhashValid", text, options)["value"] for options in EVERY]
    assert valid == [level <= known for level in range(3)]


def test_balances_tokens_and_history_arrive_level_by_level(world: World) -> None:
    to = Keypair().pubkey()
    signature = world.call("neurogrid_requestUsdc", str(to), 7)
    account = str(associated_token_account(to, world.ledger.genesis.usdc_mint))

    def seen() -> list[bool]:
        return [
            world.call("getAccountInfo", account, {**options, "encoding": "base64"})["value"]
            is not None
            for options in EVERY
        ]

    def in_history() -> list[bool]:
        asked = {"maxSupportedTransactionVersion": 0}
        past = [
            world.call("getTransaction", signature, {**options, **asked}) is not None
            for options in (CONFIRMED, FINALIZED)
        ]
        for options, found in zip((CONFIRMED, FINALIZED), past, strict=True):
            rows = world.call("getSignaturesForAddress", account, options)
            assert bool(rows) == found
            mint = str(world.ledger.genesis.usdc_mint)
            held = world.call(
                "getTokenAccountsByOwner",
                str(to),
                {"mint": mint},
                {**options, "encoding": "base64"},
            )
            assert bool(held["value"]) == found
        return past

    assert (seen(), in_history()) == ([True, False, False], [False, False])
    world.slots(2)
    assert (seen(), in_history()) == ([True, True, False], [True, False])
    world.slots(3)
    assert (seen(), in_history()) == ([True, True, True], [True, True])


def test_a_status_counts_the_confirmed_blocks_on_top(world: World) -> None:
    payer = settled(world)
    signature = send(world, world.payment(payer, Keypair().pubkey(), SOL))
    told = []
    for _ in range(6):
        found = status(world, signature)
        told.append((found["confirmationStatus"], found["confirmations"]))
        world.slots(1)
    assert told == [
        ("processed", 0),
        ("processed", 0),
        ("confirmed", 0),
        ("confirmed", 1),
        ("confirmed", 2),
        ("finalized", None),
    ]


def test_a_count_of_confirmations_ends_as_a_clusters_does(tmp_path: Path) -> None:
    world = World(tmp_path / "ledger", finality_slots=40)
    signature = send(world, world.payment(world.rich(), Keypair().pubkey(), SOL))
    world.slots(39)
    assert status(world, signature)["confirmations"] == 31
    world.ledger.close()


def test_a_context_slot_is_awaited_at_the_callers_commitment(world: World) -> None:
    slot, name = world.ledger.slot, str(Keypair().pubkey())
    for options, reached in zip(EVERY, (slot, slot - 2, slot - 5), strict=True):
        world.call("getBalance", name, {**options, "minContextSlot": reached})
        refused = world.refused("getBalance", name, {**options, "minContextSlot": reached + 1})
        assert (refused["code"], refused["data"]) == (-32016, {"contextSlot": reached})


def test_confirmation_comes_no_later_than_finality(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="confirmation_slots"):
        LedgerConfig(data=tmp_path, confirmation_slots=3, finality_slots=2)


# Forks


def test_a_fork_takes_back_status_balances_tokens_and_history(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    owner = Keypair().pubkey()
    kept = send_confirmed(
        world,
        world.payment(payer, to, SOL, blockhash=world.ledger.blockhash_at(Commitment.FINALIZED)[0]),
    )
    world.slots(1)
    first = world.ledger.slot
    lost = [
        send(world, world.payment(payer, to, 2 * SOL)),
        world.call("neurogrid_requestUsdc", str(owner), 5),
    ]
    world.slots(1)
    lost.append(send(world, world.payment(payer, to, 4 * SOL)))
    assert world.lamports(to) == 7 * SOL
    count = world.call("getTransactionCount")

    told = world.control("neurogrid_fork", slots=2)

    assert told["dropped"] == [first, first + 1]
    assert (told["parent"], told["slot"]) == (first - 1, first + 2)
    assert sorted(told["signatures"]) == sorted(lost)
    assert [status(world, each) for each in lost] == [None] * 3
    assert status(world, kept)["slot"] == first - 1
    assert world.lamports(to) == SOL
    assert world.lamports(payer.pubkey()) == 99 * SOL - 5000
    account = associated_token_account(owner, world.ledger.genesis.usdc_mint)
    assert world.ledger.svm.account(account) is None
    supply = world.call("getTokenSupply", str(world.ledger.genesis.usdc_mint), PROCESSED)
    assert supply["value"]["amount"] == "0"
    assert world.call("getTransactionCount") == count - 3
    world.slots(6)
    rows = world.call("getSignaturesForAddress", str(to))
    assert [row["signature"] for row in rows] == [kept]
    assert first not in world.call("getBlocks", first - 1, first + 5)
    assert world.refused("getBlock", first)["code"] == -32007


def test_slots_never_come_twice_and_dropped_ones_are_nobodys_view(world: World) -> None:
    world.control("neurogrid_fork", slots=2)
    slot = world.ledger.slot
    # Slots slot-1 and slot-2 are gone, so the newest confirmed slot is the one before them.
    assert world.call("getSlot", CONFIRMED) == slot - 3
    assert world.call("getSlot") == slot - 5
    seen = [world.call("getSlot", CONFIRMED)]
    for _ in range(4):
        world.slots(1)
        seen.append(world.call("getSlot", CONFIRMED))
    assert seen == [slot - 3, slot - 3, slot, slot + 1, slot + 2]


def test_lost_transactions_come_back_once_in_another_slot(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    blockhash = world.ledger.blockhash_at(Commitment.FINALIZED)[0]
    raws = [world.payment(payer, to, SOL + number, blockhash=blockhash) for number in range(3)]
    first = world.ledger.slot
    signatures = [send(world, raw) for raw in raws]
    told = world.control("neurogrid_fork", slots=1, returnAfterSlots=2)
    assert told["signatures"] == signatures
    assert world.lamports(to) == 0
    world.slots(1)
    assert [status(world, each) for each in signatures] == [None] * 3
    send(world, raws[1])  # a client that re-broadcasts comes first
    world.slots(1)
    slots = [status(world, each)["slot"] for each in signatures]
    assert slots == [first + 3, first + 2, first + 3]
    assert world.lamports(to) == 3 * SOL + 3
    world.slots(5)
    assert world.lamports(to, Commitment.FINALIZED) == 3 * SOL + 3


def test_lost_transactions_may_come_back_in_the_new_slot_itself(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    blockhash = world.ledger.blockhash_at(Commitment.FINALIZED)[0]
    signature = send(world, world.payment(payer, to, SOL, blockhash=blockhash))
    told = world.control("neurogrid_fork", returnAfterSlots=0)
    assert status(world, signature)["slot"] == told["slot"]


def test_a_lost_transaction_runs_when_it_is_sent_again(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    blockhash = world.ledger.blockhash_at(Commitment.FINALIZED)[0]
    raw = world.payment(payer, to, SOL, blockhash=blockhash)
    signature = send_confirmed(world, raw)
    world.control("neurogrid_fork")
    world.slots(10)
    assert status(world, signature) is None
    assert send_confirmed(world, raw) == signature
    assert world.lamports(to) == SOL


def test_a_blockhash_of_a_dropped_slot_is_dead_at_once(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    blockhash = world.ledger.blockhash_at(Commitment.PROCESSED)[0]
    raw = world.payment(payer, to, SOL, blockhash=blockhash)
    signature = send(world, raw)
    world.control("neurogrid_fork", returnAfterSlots=0)
    assert status(world, signature) is None
    assert world.call("isBlockhashValid", str(blockhash), PROCESSED)["value"] is False
    assert error_code(lambda: world.send(raw)) == "BlockhashNotFound"
    assert world.lamports(to) == 0


def test_what_is_final_is_never_taken_back(world: World) -> None:
    settled(world)
    refused = world.refused("neurogrid_fork", {"key": "x"})
    assert refused["code"] == -32090
    with pytest.raises(AssertionError, match="only 5 slots are not final"):
        world.control("neurogrid_fork", slots=6)
    world.control("neurogrid_fork", slots=5)
    with pytest.raises(AssertionError, match="only 1 slots are not final"):
        world.control("neurogrid_fork", slots=2)


def test_a_fork_stays_after_the_process_dies(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    lost = send(world, world.payment(payer, to, SOL))
    world.control("neurogrid_fork", returnAfterSlots=1)
    world.restart()
    search = {"searchTransactionHistory": True}
    assert world.call("getSignatureStatuses", [lost], search)["value"] == [None]
    assert world.lamports(to) == 0
    assert world.lamports(payer.pubkey()) == 100 * SOL
    world.slots(3)
    assert world.lamports(to) == 0  # its blockhash died with the process


def test_a_program_upgrade_is_taken_back_with_its_code(world: World) -> None:
    program = world.ledger.genesis.program_id
    world.ledger.install_program(program, elf_bytes())
    svm = world.ledger.svm
    (programdata, old), _ = svm.program_images(
        program, elf_bytes(), world.ledger.genesis.faucet.pubkey()
    )
    # What an upgrade by the loader leaves behind, at the level of accounts.
    svm.past.remember(svm.slot, [(programdata, svm.account(programdata))])
    svm.put_account(programdata, type(old)(old.lamports, old.data + bytes(8), old.owner))
    assert svm.program_elf(program) != elf_bytes()
    world.control("neurogrid_fork")
    assert svm.program_elf(program) == elf_bytes()


def test_a_fork_is_published_before_the_slot_that_replaces(world: World) -> None:
    payer, to = settled(world), Keypair().pubkey()
    send(world, world.payment(payer, to, SOL))
    world.events.clear()
    told = world.control("neurogrid_fork")
    fork, slot = world.events
    assert isinstance(fork, ForkEvent)
    assert isinstance(slot, SlotEvent)
    assert fork.reverted[to] is None
    assert fork.slot == slot.slot == told["slot"]
    assert fork.parent == slot.parent == told["parent"]


# Random histories


@pytest.mark.parametrize("seed", range(3))
def test_any_mix_of_payments_slots_and_forks_keeps_memory_disk_and_money_together(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    world = World(tmp_path / "ledger", confirmation_slots=1, finality_slots=4)
    parties = [settled(world) for _ in range(3)]
    world.slots(5)
    total = sum(world.lamports(one.pubkey()) for one in parties)
    for _ in range(150):
        what = chance.random()
        if what < 0.5:
            source, target = chance.sample(parties, 2)
            send(world, world.payment(source, target.pubkey(), chance.randrange(1, 10**6)))
        elif what < 0.8:
            world.slots(1)
        elif what < 0.9:
            final = world.ledger.slot_at(Commitment.FINALIZED)
            live = len(world.ledger.svm.past.live_between(final, world.ledger.slot))
            back = chance.choice([None, 0, 1, 3])
            settings = {} if back is None else {"returnAfterSlots": back}
            world.control("neurogrid_fork", slots=min(chance.randrange(1, 4), live), **settings)
        fees = 5000 * (world.ledger.store.last_id() - len(parties))
        assert sum(world.lamports(one.pubkey()) for one in parties) == total - fees
        stored = dict(world.ledger.store.accounts())
        for one in parties:
            assert stored[one.pubkey()] == world.ledger.svm.account(one.pubkey())
    world.ledger.close()


# The real process


@pytest.mark.processes
def test_kill_9_right_after_a_fork_keeps_it(tmp_path: Path) -> None:
    options = ("--no-program", "--slot-ms", "60000", "--finality-slots", "50")
    with LedgerProcess(tmp_path, *options) as ledger:
        to = str(Keypair().pubkey())
        kept = ledger.call("requestAirdrop", to, SOL)
        ledger.control("neurogrid_warp")
        lost = [ledger.call("requestAirdrop", to, SOL + number) for number in range(20)]
        told = ledger.control("neurogrid_fork", returnAfterSlots=1)
        assert told["signatures"] == lost
        ledger.kill()
        ledger.start()
        search = {"searchTransactionHistory": True}
        found = ledger.call("getSignatureStatuses", [kept, *lost], search)["value"]
        assert [each is not None for each in found] == [True, *(False for _ in lost)]
        assert ledger.call("getBalance", to, CONFIRMED)["value"] == SOL
