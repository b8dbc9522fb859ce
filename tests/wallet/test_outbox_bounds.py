"""How much an outbox takes, asks and keeps."""

from typing import Any

import anyio
import pytest
from solders.instruction import AccountMeta, Instruction

from neurogrid_wallet.errors import (
    OutboxFull,
    OutboxInUse,
    PaymentUnknown,
    SignerMissing,
    TransactionTooLarge,
)
from neurogrid_wallet.outbox import Outbox, OutboxPolicy
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import ComputeBudget
from wallet.fake_chain import Fate
from wallet.fake_rpc import Answer
from wallet.outbox_world import PATIENT, PAYER, PROGRAM, World, pay


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
            await outbox.submit(f"id {number}", pay(str(number)), PAYER)
        for number in range(10):
            await outbox.finalized(f"id {number}", PATIENT)

    world.live(life)
    assert max(asked_about) == 3


def test_a_full_outbox_refuses_what_is_new_and_knows_what_is_old(world: World) -> None:
    world.policy = OutboxPolicy(undecided_max=2)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("1", pay("a"), PAYER)
        await outbox.submit("2", pay("b"), PAYER)
        with pytest.raises(OutboxFull):
            await outbox.submit("3", pay("c"), PAYER)
        assert (await outbox.submit("2", pay("b"), PAYER)).payment_id == "2"

    world.live(life, running=False)


def test_an_idle_outbox_asks_nothing(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)
        await anyio.sleep(0.02)
        calls = world.chain.calls.total()
        await anyio.sleep(0.1)
        assert world.chain.calls.total() == calls

    world.live(life)


def test_a_few_calls_are_enough_for_a_payment(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", pay("a"), PAYER)
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
            await outbox.submit("id", pay("x" * 2000), PAYER)
        with pytest.raises(ValueError, match="compute budget"):
            await outbox.submit("id", ComputeBudget().around([]), PAYER)
        with pytest.raises(ValueError, match="characters"):
            await outbox.submit("", pay("a"), PAYER)
        with pytest.raises(ValueError, match="characters"):
            await outbox.submit("x" * 201, pay("a"), PAYER)
        with pytest.raises(PaymentUnknown):
            await outbox.confirmed("id", PATIENT)
        assert await outbox.get("id") is None
        assert await outbox.undecided() == 0

    world.live(life)
    assert not world.chain.sent


def test_a_file_has_one_owner(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        async with Rpc("http://127.0.0.1:1") as rpc:
            with pytest.raises(OutboxInUse):
                await Outbox(world.path, rpc=rpc, signers=world.signers).__aenter__()

    world.live(life, running=False)
    world.live(life, running=False)


def test_what_is_forgotten_is_unknown_and_what_is_undecided_is_kept(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        await outbox.submit("old", pay("a"), PAYER)
        await outbox.finalized("old", PATIENT)
        world.chain.fate = lambda: Fate.VANISHES
        await outbox.submit("pending", pay("b"), PAYER)
        assert await outbox.forget_decided(before_s=0) == 0
        assert await outbox.forget_decided(before_s=2**40) == 1
        assert await outbox.get("old") is None
        assert await outbox.get("pending") is not None

    world.live(life)


def test_of_what_is_decided_only_so_many_are_kept(world: World) -> None:
    async def life(outbox: Outbox) -> None:
        for number in range(3):
            await outbox.submit(f"paid-{number}", pay("a"), PAYER)
            await outbox.finalized(f"paid-{number}", PATIENT)
        world.chain.fate = lambda: Fate.VANISHES
        await outbox.submit("pending", pay("b"), PAYER)
        assert await outbox.forget_decided(before_s=0, kept_max=3) == 0
        assert await outbox.forget_decided(before_s=0, kept_max=2) == 1
        kept = [
            name for name in ("paid-0", "paid-1", "paid-2", "pending") if await outbox.get(name)
        ]
        assert kept == ["paid-1", "paid-2", "pending"]

    world.live(life)
