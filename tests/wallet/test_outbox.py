"""The outbox over a chain that loses requests and replies, drops forks and forgets."""

import random
from collections import Counter
from typing import Any

import anyio
import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from neurogrid_wallet.errors import PaymentConflict, PaymentFailed, PaymentTimeout
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, PaymentState
from neurogrid_wallet.transactions import ComputeBudget, signers_from
from wallet.fake_chain import Fate
from wallet.fake_rpc import Answer, LostReply
from wallet.outbox_world import KEY, PATIENT, PAYER, World, attempts, pay
from wallet.stuck import waits_because

"""Seconds that nothing here takes: waiting for this long is a failure."""


def test_a_payment_is_confirmed_and_then_final(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.blocks_to_finality = 5
        submitted = await outbox.submit("id", pay("a"), PAYER)
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
            await outbox.submit("id", pay("a"), PAYER)
        final = await outbox.finalized("id", PATIENT)
        again = await outbox.submit("id", pay("a"), PAYER, compute=ComputeBudget(5000))
        assert again.signature == final.signature
        assert again.state is PaymentState.FINALIZED

    world.live(life)
    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_the_same_id_for_something_else_is_refused(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        with pytest.raises(PaymentConflict):
            await outbox.submit("id", pay("b"), PAYER)
        await outbox.finalized("id", PATIENT)
        with pytest.raises(PaymentConflict):
            await outbox.submit("id", [*pay("a"), *pay("a")], PAYER)

    world.live(life)
    assert world.chain.executed == {b"a": 1}


def test_payments_of_the_same_thing_are_all_made(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        for number in range(50):
            await outbox.submit(f"id {number}", pay("a"), PAYER)
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
        await outbox.submit("id", pay("a"), PAYER)
        payment = await outbox.finalized("id", PATIENT)
        assert payment.attempts == 1

    world.live(life)
    assert len(world.chain.sent) == 3
    assert attempts(world.chain) == 1
    assert world.chain.executed == {b"a": 1}


def test_a_lost_reply_does_not_pay_again(world: World) -> None:
    world.chain.fate = lambda: Fate.LANDS_UNHEARD

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
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
        await outbox.submit("id", pay("a"), PAYER)
        with anyio.fail_after(PATIENT):
            await sent.wait()

    async def finished(outbox: Outbox) -> None:
        assert (await outbox.finalized("id", PATIENT)).attempts == 1

    world.live(sent_once)
    world.chain.fate = lambda: Fate.LANDS
    world.live(finished)
    assert len(world.chain.sent) > 1
    assert attempts(world.chain) == 1
    assert world.chain.executed == {b"a": 1}


def test_a_payment_submitted_in_a_life_that_never_ran_is_made_in_the_next(world: World) -> None:
    async def submitted(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)

    async def finished(outbox: Outbox) -> None:
        await outbox.finalized("id", PATIENT)

    world.live(submitted, running=False)
    assert not world.chain.sent
    world.live(finished)
    assert world.chain.executed == {b"a": 1}


def test_a_program_error_is_final_and_says_its_number(world: World) -> None:
    world.chain.err = {"InstructionError": [1, {"Custom": 6003}]}
    world.chain.blocks_to_finality = 5

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        with pytest.raises(PaymentFailed, match="Custom 6003") as caught:
            await outbox.confirmed("id", PATIENT)
        assert caught.value.payment.failure is not None
        assert caught.value.payment.failure.custom_program_error == 6003
        with pytest.raises(PaymentFailed):
            await outbox.finalized("id", PATIENT)
        world.chain.err = None
        again = await outbox.submit("id", pay("a"), PAYER)
        assert again.state is PaymentState.FAILED

    world.live(life)
    assert attempts(world.chain) == 1
    assert world.chain.executed == {}


def test_an_absent_chain_delays_and_nothing_else(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        world.chain.unreachable = True
        await outbox.submit("id", pay("a"), PAYER)
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
            await outbox.submit(f"id {number}", pay(str(number)), PAYER)
        for number in range(30):
            await outbox.finalized(f"id {number}", PATIENT)

    world.live(life)
    assert world.chain.executed == Counter(str(number).encode() for number in range(30))


def test_a_payment_waits_for_its_key_and_holds_up_nobody(world: World) -> None:
    other = KeyPair(b"o" * 32)
    held = [KEY, other]

    def signers(addresses: list[Pubkey]) -> list[Keypair]:
        return signers_from(held)(addresses)

    async def submitted(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), Pubkey(other.public_key))

    async def waits(outbox: Outbox) -> None:
        await outbox.submit("another", pay("b"), PAYER)
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


def test_several_tasks_may_wait_for_one_payment(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        signatures: list[str | None] = []

        async def wait() -> None:
            signatures.append((await outbox.confirmed("id", PATIENT)).signature)

        await outbox.submit("id", pay("a"), PAYER)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
        assert len(signatures) == 5
        assert len(set(signatures)) == 1

    world.live(life)
