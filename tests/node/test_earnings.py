"""Escrows, vouchers and claims on a real ledger with the real program."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from neurogrid_marketplace.execution import CLAIM_MARGIN_MS, decide
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.lease import FundedReceived, StopReceived
from neurogrid_marketplace.messages import Funded, VoucherMessage
from neurogrid_node.money.chain import EscrowUnseen
from neurogrid_node.money.earnings import Earnings, EscrowGone, VoucherRefused
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.fees import FeePolicy
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payment import PaymentState
from neurogrid_wallet.rpc import Rpc
from node.chain_world import (
    FEE_BPS,
    MAX_COST,
    ChainWorld,
    Parties,
    chain_world,
    market_on_ledger,
    now_ms,
)
from node.fakes import GOOD_SIGNATURE, FakeEarnings

AMOUNT = 100_000
NET = AMOUNT - AMOUNT * FEE_BPS // 10_000


@pytest.fixture(scope="module")
def parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with market_on_ledger(tmp_path_factory.mktemp("market")) as made:
        yield made


@pytest.fixture
async def world(tmp_path: Path, parties: Parties) -> AsyncIterator[ChainWorld]:
    """A provider that has staked; its wallet holds no USDC then."""
    async with chain_world(tmp_path, parties) as made:
        await made.stake()
        yield made


async def see(world: ChainWorld, *, patience_s: float = 20, **changes: object) -> int:
    """Wait for the escrow as a node does."""
    lease = world.lease(**changes)
    assert lease.start is not None
    async with world.node_outbox() as outbox:
        earnings = Earnings(world.market(), outbox, now_ms, escrow_patience_s=patience_s)
        try:
            return await earnings.await_escrow(lease, lease.start)
        except EscrowUnseen as error:
            refusal = error  # outside the nursery, which would wrap it
    raise refusal


# --- the escrow -------------------------------------------------------------------------------


async def test_an_escrow_is_waited_for_and_says_until_when_it_pays(world: ChainWorld) -> None:
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(0.3)
            await world.open_escrow()

        nursery.start_soon(later)
        claim_until_ms = await see(world)
    escrow = await world.escrow()
    assert escrow is not None
    assert claim_until_ms == escrow.claim_until_unix_s * 1000
    assert claim_until_ms > now_ms() + 3 * 3_600_000


async def test_an_escrow_that_never_comes_is_given_up(world: ChainWorld) -> None:
    with pytest.raises(EscrowUnseen, match=r"did not appear in 0\.3 s"):
        await see(world, patience_s=0.3)


@pytest.mark.parametrize(
    ("terms", "changes", "says"),
    [
        ({"maximum": MAX_COST - 1}, {}, "holds less than was agreed"),
        ({"voucher_signer": KeyPair.generate()}, {}, "another voucher signer"),
        ({"needs_acceptance": True}, {}, "only an offer"),
        # Long enough for the job, too short to be paid for it.
        ({"lasts_s": 600 + CLAIM_MARGIN_MS // 1000 - 100}, {}, "ends before the job could be paid"),
        ({}, {"escrow": "1" * 32}, "not the one of this lease"),
        ({}, {"client": "z" * 44}, "is not a wallet"),
        ({}, {"client": "1" * 32}, "not the one of this lease"),
    ],
)
async def test_an_escrow_on_other_terms_is_not_worked_for(
    world: ChainWorld, terms: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    await world.open_escrow(**terms)
    with pytest.raises(EscrowUnseen, match=says):
        await see(world, **changes)


async def test_an_escrow_that_pays_somebody_else_is_not_worked_for(
    world: ChainWorld, tmp_path: Path, parties: Parties
) -> None:
    (tmp_path / "other").mkdir()
    async with chain_world(tmp_path / "other", parties) as other:
        await other.stake()
        await world.open_escrow(provider=other.wallet)
    with pytest.raises(EscrowUnseen, match="pays somebody else"):
        await see(world)


async def test_a_disputed_escrow_is_not_worked_for(world: ChainWorld) -> None:
    await world.open_escrow()
    await world.dispute()
    with pytest.raises(EscrowUnseen, match="disputed"):
        await see(world)


# --- vouchers ---------------------------------------------------------------------------------


async def check(earnings: Earnings, world: ChainWorld, voucher: object) -> None:
    lease = world.lease()
    assert lease.start is not None
    await earnings.check_voucher(lease, lease.start, voucher)  # type: ignore[arg-type]  # a voucher


async def test_only_what_the_program_would_pay_is_a_voucher(world: ChainWorld) -> None:
    await world.open_escrow()
    async with world.earnings() as earnings:
        await check(earnings, world, await world.voucher(AMOUNT))
        await check(earnings, world, await world.voucher(MAX_COST))
        forged = await world.voucher(AMOUNT, signer=KeyPair.generate())
        with pytest.raises(VoucherRefused, match="not signed"):
            await check(earnings, world, forged)
        raised = type(forged)(forged.lease_id, AMOUNT + 1, forged.signature, final=True)
        with pytest.raises(VoucherRefused, match="not signed"):
            await check(earnings, world, raised)
        with pytest.raises(VoucherRefused, match="more than the escrow holds"):
            await check(earnings, world, await world.voucher(MAX_COST + 1))
        # Nothing is promised by it, so nobody needs to have signed it.
        await check(earnings, world, type(forged)(forged.lease_id, 0, "0" * 128, final=True))


async def test_a_voucher_of_a_closed_or_disputed_escrow_is_not_taken(world: ChainWorld) -> None:
    async with world.earnings() as earnings:
        await world.open_escrow()
        good = await world.voucher(AMOUNT)
        await check(earnings, world, good)
        await world.dispute()
        with pytest.raises(VoucherRefused, match="disputed"):
            await check(earnings, world, good)


async def test_a_chain_that_is_away_does_not_stop_a_job_whose_escrow_was_seen(
    world: ChainWorld,
) -> None:
    await world.open_escrow()
    good = await world.voucher(AMOUNT)
    forged = await world.voucher(AMOUNT, signer=KeyPair.generate())
    async with world.node_outbox() as outbox, Rpc("http://127.0.0.1:1") as nowhere:
        market = world.market()
        earnings = Earnings(market, outbox, now_ms)
        await check(earnings, world, good)
        market.rpc = nowhere
        restarted = Earnings(market, outbox, now_ms)
        await check(earnings, world, good)
        with pytest.raises(VoucherRefused, match="not signed"):
            await check(earnings, world, forged)
        # One that has never seen it knows nothing.
        with pytest.raises(RpcUnavailable):
            await check(restarted, world, good)


# --- redeeming --------------------------------------------------------------------------------


async def test_the_final_voucher_pays_and_closes_the_escrow_once(world: ChainWorld) -> None:
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    async with world.earnings() as earnings:
        first = await earnings.redeem(world.lease(), voucher)
        again = await earnings.redeem(world.lease(), voucher)
    async with world.earnings() as restarted:
        later = await restarted.redeem(world.lease(), voucher)
    assert first is not None
    assert first == again == later
    assert first.micro_usdc == NET
    assert await world.escrow() is None
    assert await world.usdc(world.wallet) == NET
    provider = await world.provider()
    assert provider is not None
    assert (provider.earned_micro_usdc, provider.jobs_completed) == (NET, 1)


async def test_a_node_killed_after_it_submitted_the_claim_is_paid_once(world: ChainWorld) -> None:
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    async with world.node_outbox(running=False) as outbox, trio.open_nursery() as nursery:
        earnings = Earnings(world.market(), outbox, now_ms)
        nursery.start_soon(earnings.redeem, world.lease(), voucher)
        with trio.fail_after(300):  # only ends what hangs
            while (payment := await outbox.get(f"redeem:{world.lease_id}:0")) is None:  # noqa: ASYNC110 - an outbox has no event for it
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
        assert payment.state is PaymentState.NEW  # not even signed
    assert await world.escrow() is not None
    async with world.earnings() as restarted:
        redeemed = await restarted.redeem(world.lease(), voucher)
    assert redeemed is not None
    assert await world.usdc(world.wallet) == redeemed.micro_usdc == NET


@pytest.mark.parametrize(
    "fees",
    [
        FeePolicy(unit_price_micro_lamports=1_000_000),
        FeePolicy(unit_price_micro_lamports=500_000, percentile=50, cap_lamports=20_000),
    ],
    ids=["fixed", "percentile"],
)
async def test_a_claim_lands_whatever_is_paid_for_going_first(
    world: ChainWorld, fees: FeePolicy
) -> None:
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    async with world.node_outbox(fees=fees) as outbox:
        earnings = Earnings(world.market(), outbox, now_ms, redeem_attempts=1)
        redeemed = await earnings.redeem(world.lease(), voucher)
    assert redeemed is not None
    assert await world.usdc(world.wallet) == redeemed.micro_usdc == NET
    record = await world.rpc.transaction(redeemed.transaction)
    assert record is not None
    # Two signatures, the transaction's and the voucher's, cost 5,000 lamports each.
    assert record.fee_lamports > 10_000


@pytest.mark.parametrize("amount", [None, 0])
async def test_without_anything_to_redeem_the_escrow_is_given_up(
    world: ChainWorld, amount: int | None
) -> None:
    await world.open_escrow()
    voucher = None if amount is None else await world.voucher(amount)
    async with world.earnings() as earnings:
        redeemed = await earnings.redeem(world.lease(), voucher)
    assert redeemed is not None
    assert redeemed.micro_usdc == 0
    assert await world.escrow() is None
    assert await world.usdc(world.wallet) == 0


async def test_the_escrow_of_a_lease_that_never_began_may_appear_later_than_its_voucher(
    world: ChainWorld,
) -> None:
    accepted = replace(world.lease(), start=None)
    stopped = decide(accepted, StopReceived(Outcome.CANCELLED), now_ms()).lease
    start = world.start()
    funded = Funded(start.lease_id, start.client, start.escrow, start.voucher_signer)
    lease = decide(stopped, FundedReceived(funded), now_ms()).lease
    async with world.earnings() as earnings, trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(0.3)
            await world.open_escrow()

        nursery.start_soon(later)
        assert await earnings.redeem(lease, None) is not None
    assert await world.escrow() is None


async def test_an_escrow_that_is_gone_is_nothing_to_redeem(world: ChainWorld) -> None:
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    async with world.earnings() as earnings:
        await earnings.redeem(world.lease(), None)
    (world.directory / "payments.db").unlink()
    async with world.earnings() as forgetful:
        assert await forgetful.redeem(world.lease(), voucher) is None
        lease = world.lease()
        assert lease.start is not None
        with pytest.raises(EscrowGone):
            await forgetful.check_voucher(lease, lease.start, voucher)


async def test_what_is_signed_is_paid_out_of_a_disputed_escrow_too(world: ChainWorld) -> None:
    await world.open_escrow()
    voucher = await world.voucher(AMOUNT)
    await world.dispute()
    async with world.earnings() as earnings:
        redeemed = await earnings.redeem(world.lease(), voucher)
    assert redeemed is not None
    assert await world.usdc(world.wallet) == redeemed.micro_usdc == NET
    # Only the arbiter closes it.
    escrow = await world.escrow()
    assert escrow is not None
    assert escrow.released_micro_usdc == AMOUNT


async def test_a_disputed_escrow_without_a_voucher_is_left_to_the_arbiter(
    world: ChainWorld,
) -> None:
    await world.open_escrow()
    await world.dispute()
    async with world.earnings() as earnings:
        assert await earnings.redeem(world.lease(), None) is None
    assert await world.escrow() is not None


async def test_a_claim_that_the_chain_refuses_is_tried_again_and_given_up(
    world: ChainWorld, caplog: pytest.LogCaptureFixture
) -> None:
    await world.open_escrow()
    # A voucher that nobody has checked: the runtime refuses its signature.
    forged = await world.voucher(AMOUNT, signer=KeyPair.generate())
    async with world.node_outbox() as outbox:
        once = Earnings(world.market(), outbox, now_ms, redeem_attempts=1)
        assert await once.redeem(world.lease(), forged) is None
        assert "given up" in caplog.text
        # The next one has another name: the first is over.
        again = Earnings(world.market(), outbox, now_ms, redeem_attempts=2)
        redeemed = await again.redeem(world.lease(), await world.voucher(AMOUNT))
    assert redeemed is not None
    assert await world.usdc(world.wallet) == NET


# --- the fake ---------------------------------------------------------------------------------


async def test_the_fake_does_as_the_real_one(world: ChainWorld) -> None:
    await world.open_escrow()
    good = await world.voucher(AMOUNT)
    forged = await world.voucher(AMOUNT, signer=KeyPair.generate())
    fake = FakeEarnings()
    fake_good = replace(good, signature=GOOD_SIGNATURE)
    async with world.earnings() as earnings:
        for real_or_fake, voucher in ((earnings, good), (cast(Earnings, fake), fake_good)):
            await behaves(real_or_fake, world, voucher, replace(forged, signature=forged.signature))
    assert fake.redeemed == [AMOUNT]


async def behaves(
    earnings: Earnings, world: ChainWorld, good: VoucherMessage, forged: VoucherMessage
) -> None:
    lease = world.lease()
    start = lease.start
    assert start is not None
    assert await earnings.await_escrow(lease, start) > now_ms()
    await earnings.check_voucher(lease, start, good)
    await earnings.check_voucher(lease, start, replace(forged, cumulative_micro_usdc=0))
    with pytest.raises(VoucherRefused):
        await earnings.check_voucher(lease, start, forged)
    with pytest.raises(VoucherRefused):
        await earnings.check_voucher(lease, start, replace(good, cumulative_micro_usdc=10**9))
    first = await earnings.redeem(lease, good)
    assert first is not None
    assert 0 < first.micro_usdc <= AMOUNT
    assert await earnings.redeem(lease, good) == first
    with pytest.raises(EscrowGone):
        await earnings.check_voucher(lease, start, good)
    earnings.forget(lease.lease_id)
    earnings.forget(lease.lease_id)
