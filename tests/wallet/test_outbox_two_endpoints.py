"""Large payments when one endpoint lies, lags or is away; and what going first costs."""

import base64
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from solders.compute_budget import ID as COMPUTE_BUDGET_PROGRAM
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from neurogrid_wallet.errors import PaymentTimeout, SecondEndpointMissing
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.outbox import Outbox, OutboxPolicy, PaymentState
from neurogrid_wallet.rpc import Rpc
from neurogrid_wallet.transactions import signers_from
from wallet.fake_chain import BLOCKHASH_LIFE_BLOCKS, FakeChain, Fate
from wallet.fake_rpc import Answer, LostReply, Refusal, serve
from wallet.stuck import waits_because

KEY = KeyPair(b"k" * 32)
PAYER = Pubkey(KEY.public_key)
PROGRAM = Pubkey(b"p" * 32)
WRITTEN = AccountMeta(Pubkey(b"w" * 32), is_signer=False, is_writable=True)
READ = AccountMeta(Pubkey(b"r" * 32), is_signer=False, is_writable=False)
LARGE = 1_000_000
PATIENT = 10.0
"""Seconds that nothing here takes: waiting for this long is a failure."""

Life = Callable[[Outbox], Awaitable[None]]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neurogrid_wallet.rpc._BACKOFF_FIRST_S", 0.002)
    monkeypatch.setattr("neurogrid_wallet.outbox_driver._OUTAGE_WAIT_MAX_S", 0.02)


def _pay(text: str) -> list[Instruction]:
    return [Instruction(PROGRAM, text.encode(), [WRITTEN, READ])]


def _live(
    path: Path,
    life: Life,
    first: Answer,
    second: Answer | None = None,
    fees: FeePolicy | None = None,
) -> None:
    policy = OutboxPolicy(
        poll_first_s=0.002,
        poll_max_s=0.01,
        check_interval_s=0.01,
        fees=fees or FeePolicy(),
        two_endpoints_from_micro_usdc=LARGE,
    )

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(serve(first))
            rpc = await stack.enter_async_context(Rpc(url, timeout_s=PATIENT))
            second_rpc = None
            if second is not None:
                second_url = await stack.enter_async_context(serve(second))
                second_rpc = await stack.enter_async_context(Rpc(second_url, timeout_s=PATIENT))
            outbox = Outbox(
                path, rpc=rpc, signers=signers_from([KEY]), policy=policy, second_rpc=second_rpc
            )
            await stack.enter_async_context(outbox)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(outbox.run)
                await life(outbox)
                tasks.cancel_scope.cancel()

    anyio.run(main)


def test_a_large_payment_is_final_when_both_endpoints_say_so(tmp_path: Path) -> None:
    chain = FakeChain()
    asked_second: list[str] = []

    def second(method: str, params: list[Any]) -> Any:
        asked_second.append(method)
        return chain.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("small", _pay("a"), PAYER, worth_micro_usdc=LARGE - 1)
        await outbox.finalized("small", PATIENT)
        assert asked_second == []
        await outbox.submit("large", _pay("b"), PAYER, worth_micro_usdc=LARGE)
        assert (await outbox.finalized("large", PATIENT)).state is PaymentState.FINALIZED
        assert set(asked_second) == {"getSignatureStatuses"}

    _live(tmp_path / "outbox", life, chain.answer, second)
    assert chain.executed == {b"a": 1, b"b": 1}


def test_one_endpoint_that_lies_cannot_make_a_large_payment_final(tmp_path: Path) -> None:
    liar, truth = FakeChain(), FakeChain()

    async def life(outbox: Outbox) -> None:
        await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)
        await waits_because(outbox, "large", "does not know the transaction yet")
        with pytest.raises(PaymentTimeout):
            await outbox.confirmed("large", timeout_s=0.02)
        found = await outbox.get("large")
        assert found is not None
        assert found.state is PaymentState.CONFIRMED
        # The same transaction reaches the true chain, and fails there.
        truth.height, truth.err = liar.landed[found.signature or ""].block, "AccountNotFound"
        truth.answer("sendTransaction", [_base64(liar.sent[0])])
        truth.height += 10
        await waits_because(outbox, "large", "disagree: success in slot")

    _live(tmp_path / "outbox", life, liar.answer, truth.answer)
    assert len(set(liar.sent)) == 1


def test_a_large_payment_is_not_signed_again_while_one_endpoint_knows_it(tmp_path: Path) -> None:
    blind, truth = FakeChain(), FakeChain()
    blind.fate = lambda: Fate.VANISHES

    def first(method: str, params: list[Any]) -> Any:
        if method == "sendTransaction":
            truth.height = blind.height
            truth.answer(method, params)
            blind.height_after_send = blind.height + 3 * BLOCKHASH_LIFE_BLOCKS
        return blind.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)
        await waits_because(outbox, "large", "only the second one knows the transaction")

    _live(tmp_path / "outbox", life, first, truth.answer)
    assert len(set(blind.sent)) == 1
    assert truth.executed == {b"a": 1}


def test_a_large_payment_that_both_call_dead_is_signed_again(tmp_path: Path) -> None:
    chain = FakeChain()
    chain.blocks_per_look = 60
    chain.fate = lambda: Fate.VANISHES if len(set(chain.sent)) < 2 else Fate.LANDS

    async def life(outbox: Outbox) -> None:
        await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)
        final = await outbox.finalized("large", PATIENT)
        assert final.attempts >= 2

    _live(tmp_path / "outbox", life, chain.answer, chain.answer)
    assert chain.executed == {b"a": 1}


def test_a_second_endpoint_that_is_away_delays_large_payments_only(tmp_path: Path) -> None:
    chain = FakeChain()
    away = [True]

    def second(method: str, params: list[Any]) -> Any:
        if away:
            raise LostReply
        return chain.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)
        await outbox.submit("small", _pay("b"), PAYER)
        await outbox.finalized("small", PATIENT)
        await waits_because(outbox, "large", "the second endpoint gives no answer")
        away.clear()
        await outbox.finalized("large", PATIENT)

    _live(tmp_path / "outbox", life, chain.answer, second)
    assert chain.executed == {b"a": 1, b"b": 1}


def test_without_a_second_endpoint_large_payments_are_refused(tmp_path: Path) -> None:
    chain = FakeChain()

    async def life(outbox: Outbox) -> None:
        with pytest.raises(SecondEndpointMissing, match="second"):
            await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)
        assert await outbox.undecided() == 0

    _live(tmp_path / "outbox", life, chain.answer)


def test_a_large_payment_outlives_the_configuration_of_its_second_endpoint(tmp_path: Path) -> None:
    chain = FakeChain()

    async def submitted(outbox: Outbox) -> None:
        await outbox.submit("large", _pay("a"), PAYER, worth_micro_usdc=LARGE)

    async def alone(outbox: Outbox) -> None:
        await waits_because(outbox, "large", "none is configured")

    async def again(outbox: Outbox) -> None:
        assert await outbox.undecided_ids() == ["large"]
        await outbox.finalized("large", PATIENT)

    _live(tmp_path / "outbox", submitted, chain.answer, chain.answer)
    _live(tmp_path / "outbox", alone, chain.answer)
    _live(tmp_path / "outbox", again, chain.answer, chain.answer)
    assert chain.executed == {b"a": 1}


def test_the_same_endpoint_twice_is_no_second_opinion(tmp_path: Path) -> None:
    rpc = Rpc("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="agree"):
        Outbox(tmp_path / "outbox", rpc=rpc, signers=signers_from([KEY]), second_rpc=rpc)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unit_prices(chain: FakeChain) -> list[int]:
    """The unit price of each transaction that was sent, once each; 0 where none is set."""
    prices = []
    for raw in dict.fromkeys(chain.sent):
        message = VersionedTransaction.from_bytes(raw).message
        price = 0
        for instruction in message.instructions:
            program = message.account_keys[instruction.program_id_index]
            data = bytes(instruction.data)
            if program == COMPUTE_BUDGET_PROGRAM and data[0] == 3:
                price = int.from_bytes(data[1:], "little")
        prices.append(price)
    return prices


def test_a_price_follows_the_market_and_rises_after_each_death(tmp_path: Path) -> None:
    chain = FakeChain()
    chain.blocks_per_look = 60
    chain.fate = lambda: Fate.VANISHES if len(set(chain.sent)) < 3 else Fate.LANDS
    asked_about: list[list[str]] = []

    def answer(method: str, params: list[Any]) -> Any:
        if method == "getRecentPrioritizationFees":
            asked_about.append(params[0])
            return [{"slot": n, "prioritizationFee": fee} for n, fee in enumerate((0, 100, 900))]
        return chain.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)

    _live(tmp_path / "outbox", life, answer, fees=FeePolicy(percentile=60, raise_percent=100))
    assert _unit_prices(chain)[:3] == [100, 200, 400]
    assert asked_about[0] == [str(PAYER), str(WRITTEN.pubkey)]


def test_an_endpoint_that_knows_no_fees_holds_nothing_up(tmp_path: Path) -> None:
    chain = FakeChain()

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)

    policy = FeePolicy(unit_price_micro_lamports=7, percentile=60)
    _live(tmp_path / "outbox", life, chain.answer, fees=policy)
    assert _unit_prices(chain) == [7]


@pytest.mark.parametrize(
    ("simulated", "limit"),
    [({"err": None, "unitsConsumed": 10_000}, 12_000), ({"err": "AccountNotFound"}, 200_000)],
)
def test_the_limit_comes_from_a_simulation_that_succeeds(
    tmp_path: Path, simulated: dict[str, Any], limit: int
) -> None:
    chain = FakeChain()

    def answer(method: str, params: list[Any]) -> Any:
        if method == "simulateTransaction":
            return {"context": {"slot": 1}, "value": simulated}
        return chain.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)

    _live(tmp_path / "outbox", life, answer, fees=FeePolicy(limit_margin_percent=20))
    [raw] = set(chain.sent)
    message = VersionedTransaction.from_bytes(raw).message
    sent = int.from_bytes(bytes(message.instructions[0].data)[1:5], "little")
    # What makes the bytes of this attempt its own is on top.
    assert limit <= sent < limit + 5000


def test_a_refusal_of_the_simulation_leaves_the_default_limit(tmp_path: Path) -> None:
    chain = FakeChain()

    def answer(method: str, params: list[Any]) -> Any:
        if method == "simulateTransaction":
            raise Refusal(-32601)
        return chain.answer(method, params)

    async def life(outbox: Outbox) -> None:
        await outbox.submit("id", _pay("a"), PAYER)
        await outbox.finalized("id", PATIENT)

    _live(tmp_path / "outbox", life, answer, fees=FeePolicy(limit_margin_percent=20))
    assert chain.executed == {b"a": 1}
