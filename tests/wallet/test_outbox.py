"""The outbox over a chain that loses requests and replies, drops forks and forgets."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from neurogrid_wallet.errors import (
    OutboxFull,
    OutboxInUse,
    PaymentConflict,
    PaymentFailed,
    PaymentTimeout,
    PaymentUnknown,
    SignerMissing,
    TransactionTooLarge,
)
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy, PaymentState
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget, SignerSource, signers_from
from wallet.fake_chain import BLOCKHASH_LIFE_BLOCKS, FakeChain, Fate
from wallet.fake_rpc import Answer, LostReply, serve
from wallet.stuck import waits_because

KEY = KeyPair(b"k" * 32)
PAYER = Pubkey(KEY.public_key)
PROGRAM = Pubkey(b"p" * 32)

PATIENT = 10.0
"""Seconds that nothing here takes: waiting for this long is a failure."""

QUICK = OutboxPolicy(poll_first_s=0.002, poll_max_s=0.01, check_interval_s=0.01)


def _pay(text: str) -> list[Instruction]:
    """Something to be done once; the fake chain counts it by its data."""
    return [Instruction(PROGRAM, text.encode(), [])]


@dataclass
class World:
    """One chain and one outbox file, over several lives of the process that uses them."""

    chain: FakeChain
    path: Path
    backend: str
    policy: OutboxPolicy = QUICK
    signers: SignerSource = field(default_factory=lambda: signers_from([KEY]))
    line: Callable[[Answer], Answer] = lambda answer: answer
    """What stands between the chain and the outbox."""

    def live(self, life: Callable[[Outbox], Awaitable[None]], *, running: bool = True) -> None:
        """One life of a process; it ends without a chance to tidy up."""

        async def main() -> None:
            async with self._outbox(running) as outbox:
                await life(outbox)

        anyio.run(main, backend=self.backend)

    @asynccontextmanager
    async def _outbox(self, running: bool) -> AsyncIterator[Outbox]:
        async with (
            serve(self.line(self.chain.answer)) as url,
            Rpc(url, timeout_s=PATIENT) as rpc,
            Outbox(self.path, rpc=rpc, signers=self.signers, policy=self.policy) as outbox,
            anyio.create_task_group() as tasks,
        ):
            if running:
                tasks.start_soon(outbox.run)
            yield outbox
            tasks.cancel_scope.cancel()


@pytest.fixture(params=["trio", "asyncio"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr("neurogrid_wallet.rpc._BACKOFF_FIRST_S", 0.002)
    monkeypatch.setattr("neurogrid_wallet.outbox_driver._OUTAGE_WAIT_MAX_S", 0.02)
    return World(FakeChain(), tmp_path / "outbox.sqlite", request.param)


def _attempts(chain: FakeChain) -> int:
    return len(set(chain.sent))


def test_a_payment_is_confirmed_and_then_final(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.blocks_to_finality = 5
        submitted = await outbox.submit("id", _pay("a"), PAYER)
        assert submitted.state is PaymentState.NEW
        confirmed = await outbox.confirmed("id", PATIENT)
        assert confirmed.state is PaymentState.CONFIRMED
        assert confirmed.landed_slot == world.chain.landed[confirmed.signature or ""].block + 1000
        final = await outbox.finalized("id", PATIENT)
        assert final.state is PaymentState.FINALIZED
        assert (await outbox.confirmed("id", PATIENT)).state is PaymentState.FINALIZED
        assert await outbox.undecided() == 0

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_the_same_id_is_the_same_payment(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        for _ in range(3):
            await outbox.submit("id", _pay("a"), PAYER)
        final = await outbox.finalized("id", PATIENT)
        again = await outbox.submit("id", _pay("a"), PAYER, compute=ComputeBudget(5000))
        assert again.signature == final.signature
        assert again.state is PaymentState.FINALIZED

    world.live(life)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_the_same_id_for_something_else_is_refused(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        with pytest.raises(PaymentConflict):
            await outbox.submit("id", _pay("b"), PAYER)
        await outbox.finalized("id", PATIENT)
        with pytest.raises(PaymentConflict):
            await outbox.submit("id", [*_pay("a"), *_pay("a")], PAYER)

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_payments_of_the_same_thing_are_all_made(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        for number in range(50):
            await outbox.submit(f"id {number}", _pay("a"), PAYER)
        payments = [await outbox.finalized(f"id {number}", PATIENT) for number in range(50)]
        assert len({payment.signature for payment in payments}) == 50

    # Signed over one blockhash, they would otherwise be the same bytes.
    world.chain.blocks_per_look = 0
    world.chain.blocks_to_finality = 0
    world.live(life)
    assert world.chain.executed == {b"a": 50}


def test_what_vanishes_is_sent_again_unchanged(world: World) -> None:
    fates = iter([Fate.VANISHES, Fate.NEVER_ARRIVES, Fate.VANISHES])
    world.chain.fate = lambda: next(fates, Fate.LANDS)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        payment = await outbox.finalized("id", PATIENT)
        assert payment.attempts == 1

    world.live(life)
    assert len(world.chain.sent) == 3
    assert _attempts(world.chain) == 1
    assert world.chain.executed == {b"a": 1}


def test_a_lost_reply_does_not_pay_again(world: World) -> None:
    world.chain.fate = lambda: Fate.LANDS_UNHEARD

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        assert (await outbox.finalized("id", PATIENT)).attempts == 1

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_a_new_life_sends_the_bytes_of_the_old_one(world: World) -> None:
    async def sent_once(outbox: Outbox) -> None:
        sent = anyio.Event()

        def vanishes() -> Fate:
            sent.set()
            return Fate.VANISHES

        world.chain.fate = vanishes
        await outbox.submit("id", _pay("a"), PAYER)
        with anyio.fail_after(PATIENT):
            await sent.wait()

    async def finished(outbox: Outbox) -> None:
        assert (await outbox.finalized("id", PATIENT)).attempts == 1

    world.live(sent_once)
    world.chain.fate = lambda: Fate.LANDS
    world.live(finished)
    assert len(world.chain.sent) > 1
    assert _attempts(world.chain) == 1
    assert world.chain.executed == {b"a": 1}


def test_a_payment_submitted_in_a_life_that_never_ran_is_made_in_the_next(world: World) -> None:
    async def submitted(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)

    async def finished(outbox: Outbox) -> None:
        await outbox.finalized("id", PATIENT)

    world.live(submitted, running=False)
    assert not world.chain.sent
    world.live(finished)
    assert world.chain.executed == {b"a": 1}


def _first_send_then_expiry(world: World, fate: Fate) -> None:
    """The first send has this fate, and then its blockhash expires; later ones land."""

    def first() -> Fate:
        world.chain.fate = lambda: Fate.LANDS
        # After this transaction, whatever becomes of it.
        world.chain.height_after_send = world.chain.height + BLOCKHASH_LIFE_BLOCKS + 100
        return fate

    world.chain.fate = first


@pytest.mark.parametrize("fate", [Fate.VANISHES, Fate.NEVER_ARRIVES])
def test_what_has_expired_unseen_is_signed_again(world: World, fate: Fate) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, fate)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_what_expired_may_still_have_landed(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        assert (await outbox.finalized("id", PATIENT)).attempts == 1

    _first_send_then_expiry(world, Fate.LANDS_UNHEARD)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


async def _is_stuck(outbox: Outbox, chain: FakeChain, problem: str) -> None:
    await outbox.submit("id", _pay("a"), PAYER)
    await waits_because(outbox, "id", problem)
    # And stays so, over many checks.
    with pytest.raises(PaymentTimeout, match=problem):
        await outbox.finalized("id", 0.2)
    assert _attempts(chain) == 1


def test_a_node_that_forgot_proves_nothing(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.history_from_slot = 10**6
        await _is_stuck(outbox, world.chain, "cannot prove")
        world.chain.history_from_slot = 0
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, Fate.VANISHES)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_a_node_without_history_proves_nothing_and_stops_nobody_else(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.refused_methods = {"getFirstAvailableBlock"}
        await _is_stuck(outbox, world.chain, "nobody can tell")
        await outbox.submit("another", _pay("b"), PAYER)
        await outbox.finalized("another", PATIENT)
        world.chain.refused_methods = set()
        assert (await outbox.finalized("id", PATIENT)).attempts == 2

    _first_send_then_expiry(world, Fate.VANISHES)
    world.live(life)
    assert world.chain.executed == {b"a": 1, b"b": 1}


def test_a_block_that_was_confirmed_and_dropped_is_made_up_for(world: World) -> None:
    world.chain.blocks_to_finality = 50

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        confirmed = await outbox.confirmed("id", PATIENT)
        assert confirmed.signature is not None
        world.chain.drop(confirmed.signature)
        # Its bytes never arrive again, and then they expire.
        _first_send_then_expiry(world, Fate.VANISHES)
        final = await outbox.finalized("id", PATIENT)
        assert (final.attempts, final.signature == confirmed.signature) == (2, False)

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_a_program_error_is_final_and_says_its_number(world: World) -> None:
    world.chain.err = {"InstructionError": [1, {"Custom": 6003}]}
    world.chain.blocks_to_finality = 5

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        with pytest.raises(PaymentFailed, match="Custom 6003") as caught:
            await outbox.confirmed("id", PATIENT)
        assert caught.value.payment.failure is not None
        assert caught.value.payment.failure.custom_program_error == 6003
        with pytest.raises(PaymentFailed):
            await outbox.finalized("id", PATIENT)
        world.chain.err = None
        again = await outbox.submit("id", _pay("a"), PAYER)
        assert again.state is PaymentState.FAILED

    world.live(life)
    assert _attempts(world.chain) == 1
    assert world.chain.executed == {}


def test_an_absent_chain_delays_and_nothing_else(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.unreachable = True
        await outbox.submit("id", _pay("a"), PAYER)
        await waits_because(outbox, "id", "still new after 0.1 s; last problem: get", timeout_s=0.1)
        world.chain.unreachable = False
        await outbox.finalized("id", PATIENT)

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_a_lossy_chain_executes_each_payment_once(world: World) -> None:
    chance = random.Random(5)
    world.chain.blocks_per_look = 10
    world.chain.fate = lambda: chance.choice(list(Fate))

    def lossy(answer: Answer) -> Answer:
        def carry(method: str, params: list[Any]) -> Any:
            result = answer(method, params)
            if chance.random() < 0.1:
                raise LostReply
            return result

        return carry

    world.line = lossy

    async def life(outbox: Outbox) -> None:
        for number in range(30):
            await outbox.submit(f"id {number}", _pay(str(number)), PAYER)
        for number in range(30):
            await outbox.finalized(f"id {number}", PATIENT)

    world.live(life)
    assert world.chain.executed == Counter(str(number).encode() for number in range(30))


def test_no_more_than_the_limit_is_in_flight(world: World) -> None:
    world.policy = OutboxPolicy(
        poll_first_s=0.002, poll_max_s=0.01, check_interval_s=0.01, in_flight_max=3
    )
    asked_about: list[int] = []

    def watched(answer: Answer) -> Answer:
        def carry(method: str, params: list[Any]) -> Any:
            if method == "getSignatureStatuses":
                asked_about.append(len(params[0]))
            return answer(method, params)

        return carry

    world.line = watched

    async def life(outbox: Outbox) -> None:
        for number in range(10):
            await outbox.submit(f"id {number}", _pay(str(number)), PAYER)
        for number in range(10):
            await outbox.finalized(f"id {number}", PATIENT)

    world.live(life)
    assert max(asked_about) == 3


def test_a_full_outbox_refuses_what_is_new_and_knows_what_is_old(world: World) -> None:
    world.policy = OutboxPolicy(undecided_max=2)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("1", _pay("a"), PAYER)
        await outbox.submit("2", _pay("b"), PAYER)
        with pytest.raises(OutboxFull):
            await outbox.submit("3", _pay("c"), PAYER)
        assert (await outbox.submit("2", _pay("b"), PAYER)).payment_id == "2"

    world.live(life, running=False)


def test_an_idle_outbox_asks_nothing(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)
        await anyio.sleep(0.02)
        calls = world.chain.calls.total()
        await anyio.sleep(0.1)
        assert world.chain.calls.total() == calls

    world.live(life)


def test_a_few_calls_are_enough_for_a_payment(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)

    world.chain.blocks_to_finality = 0
    world.live(life)
    assert world.chain.calls["getLatestBlockhash"] == 1
    assert world.chain.calls["sendTransaction"] == 1


def test_what_can_never_be_sent_is_refused_at_once(world: World) -> None:
    stranger = AccountMeta(PROGRAM, is_signer=True, is_writable=False)

    async def life(outbox: Outbox) -> None:
        with pytest.raises(SignerMissing, match=str(PROGRAM)):
            await outbox.submit("id", [Instruction(PROGRAM, b"", [stranger])], PAYER)
        with pytest.raises(TransactionTooLarge):
            await outbox.submit("id", _pay("x" * 2000), PAYER)
        with pytest.raises(ValueError, match="compute budget"):
            await outbox.submit("id", ComputeBudget().around([]), PAYER)
        with pytest.raises(ValueError, match="characters"):
            await outbox.submit("", _pay("a"), PAYER)
        with pytest.raises(ValueError, match="characters"):
            await outbox.submit("x" * 201, _pay("a"), PAYER)
        with pytest.raises(PaymentUnknown):
            await outbox.confirmed("id", PATIENT)
        assert await outbox.get("id") is None
        assert await outbox.undecided() == 0

    world.live(life)
    assert not world.chain.sent


def test_a_payment_waits_for_its_key_and_holds_up_nobody(world: World) -> None:
    other = KeyPair(b"o" * 32)
    held = [KEY, other]

    def signers(addresses: list[Pubkey]) -> list[Keypair]:
        return signers_from(held)(addresses)

    async def submitted(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), Pubkey(other.public_key))

    async def waits(outbox: Outbox) -> None:
        await outbox.submit("another", _pay("b"), PAYER)
        await outbox.finalized("another", PATIENT)
        with pytest.raises(PaymentTimeout, match=other.address):
            await outbox.finalized("id", 0.05)
        held.append(other)
        await outbox.finalized("id", PATIENT)

    world.signers = signers
    world.live(submitted, running=False)
    held.remove(other)
    world.live(waits)
    assert world.chain.executed == {b"a": 1, b"b": 1}


def test_a_file_has_one_owner(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        async with Rpc("http://127.0.0.1:1") as rpc:
            with pytest.raises(OutboxInUse):
                await Outbox(world.path, rpc=rpc, signers=world.signers).__aenter__()

    world.live(life, running=False)
    world.live(life, running=False)


def test_what_is_forgotten_is_unknown_and_what_is_undecided_is_kept(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("old", _pay("a"), PAYER)
        await outbox.finalized("old", PATIENT)
        world.chain.fate = lambda: Fate.VANISHES
        await outbox.submit("pending", _pay("b"), PAYER)
        assert await outbox.forget_decided(before_s=0) == 0
        assert await outbox.forget_decided(before_s=2**40) == 1
        assert await outbox.get("old") is None
        assert await outbox.get("pending") is not None

    world.live(life)


def test_of_what_is_decided_only_so_many_are_kept(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        for number in range(3):
            await outbox.submit(f"paid-{number}", _pay("a"), PAYER)
            await outbox.finalized(f"paid-{number}", PATIENT)
        world.chain.fate = lambda: Fate.VANISHES
        await outbox.submit("pending", _pay("b"), PAYER)
        assert await outbox.forget_decided(before_s=0, kept_max=3) == 0
        assert await outbox.forget_decided(before_s=0, kept_max=2) == 1
        kept = [
            name for name in ("paid-0", "paid-1", "paid-2", "pending") if await outbox.get(name)
        ]
        assert kept == ["paid-1", "paid-2", "pending"]

    world.live(life)


def test_several_tasks_may_wait_for_one_payment(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        signatures: list[str | None] = []

        async def wait() -> None:
            signatures.append((await outbox.confirmed("id", PATIENT)).signature)

        await outbox.submit("id", _pay("a"), PAYER)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
        assert len(signatures) == 5
        assert len(set(signatures)) == 1

    world.live(life)
