"""Money that does not go the straight way; `test_orchestrator` and `test_crashes` have the rest."""

import asyncio
from pathlib import Path
from typing import Any

from coordinator.fake_chain import FakeChain, transaction
from coordinator.fake_parties import Clock
from coordinator.market_world import world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.money.chain import EscrowTerms, OpenedEscrow
from neurogrid_coordinator.money.escrow_history import Closing
from neurogrid_coordinator.store import events, leases
from neurogrid_marketplace.messages import VoucherMessage
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.settlement import CLAIM_PATIENCE_MS, SettlementPhase
from neurogrid_marketplace.task import Phase
from neurogrid_wallet.errors import RpcUnavailable


@on_asyncio
async def test_a_node_that_does_not_redeem_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        node.behaviour.redeems = False
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        started_ms = market.clock.now
        node.behaviour.deaf = True
        (lease,) = await market.until_settled(task_id, turning_ms=2_000)
        assert market.clock.now - started_ms > CLAIM_PATIENCE_MS
        assert lease.settlement.phase is SettlementPhase.CLOSED
        assert (lease.settlement.paid_micro_usdc, row.cost_micro_usdc > 0) == (0, True)
        assert (await market.task(task_id)).cost_micro_usdc == 0, (
            "nothing left the client's account"
        )


@on_asyncio
async def test_a_final_voucher_is_repeated_until_the_escrow_is_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only")
        heard: list[VoucherMessage] = []
        receive = node.receive

        async def hard_of_hearing(message: Any) -> None:
            if isinstance(message, VoucherMessage) and message.final:
                heard.append(message)
                if len(heard) < 3:
                    return
            await receive(message)

        node.receive = hard_of_hearing  # type: ignore[method-assign]  # a fault of the line
        await market.start()
        task_id = await market.submit()
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        await market.until_settled(task_id, turning_ms=500)
        assert len(heard) >= 3
        assert len({message.signature for message in heard}) == 1


class MoodyChain(FakeChain):
    """A chain that is away at every third call."""

    calls = 0

    def _mood(self) -> None:
        MoodyChain.calls += 1
        if MoodyChain.calls % 3 == 1:
            raise RpcUnavailable("getAccountInfo", "away")

    async def open(self, terms: Any) -> Any:
        self._mood()
        return await super().open(terms)

    async def escrow(self, address: str) -> Any:
        self._mood()
        return await super().escrow(address)

    async def closing(self, address: str) -> Closing | None:
        self._mood()
        return await super().closing(address)


@on_asyncio
async def test_a_chain_that_comes_and_goes_is_asked_again(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.chain = MoodyChain(market.clock)
        market.node("only")
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id, turning_ms=100)
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc > 0


@on_asyncio
async def test_a_lost_node_is_paid_what_was_signed_if_it_claims_in_time(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        lost, other = market.node("lost", 3_600_000), market.node("other", 3_600_001)
        lost.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(price_micro_usdc_per_hour=7_200_000, timeout_s=600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)

        async def signed() -> bool:
            held = lost.leases[lease.id].voucher
            return held is not None and held.cumulative_micro_usdc >= 30_000

        await market.until(signed, turning_ms=500)
        held = lost.leases[lease.id].voucher
        assert held is not None
        lost.behaviour.deaf = True

        async def given_up() -> bool:
            return (await market.task(task_id)).lease_id != lease.id

        await market.until(given_up, turning_ms=2_000)
        # Cut off from us, but not from the chain.
        market.chain.redeem(lease.id, lease.escrow or market.chain.opened[lease.id].address, held)
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        assert row.node_id == other.node_id
        first, second = await market.until_settled(task_id, turning_ms=100)
        assert first.settlement.paid_micro_usdc == held.cumulative_micro_usdc
        paid = first.settlement.paid_micro_usdc + second.settlement.paid_micro_usdc
        assert paid == row.cost_micro_usdc > second.settlement.paid_micro_usdc


@on_asyncio
async def test_a_lost_node_that_never_claims_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        lost = market.node("lost", 3_600_000)
        market.node("other", 3_600_001)
        lost.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(price_micro_usdc_per_hour=7_200_000, timeout_s=600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)

        async def signed() -> bool:
            held = lost.leases[lease.id].voucher
            return held is not None and held.cumulative_micro_usdc >= 30_000

        await market.until(signed, turning_ms=500)
        lost.behaviour.deaf = True

        async def given_up() -> bool:
            return (await market.task(task_id)).lease_id != lease.id

        await market.until(given_up, turning_ms=2_000)
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        first, second = await market.until_settled(task_id, turning_ms=2_000)
        assert first.settlement.signed_micro_usdc >= 30_000
        assert first.settlement.paid_micro_usdc == 0
        cost = (await market.task(task_id)).cost_micro_usdc
        assert cost == second.settlement.paid_micro_usdc > 0


@on_asyncio
async def test_a_transaction_that_hides_its_amount_counts_as_all_that_was_signed(
    tmp_path: Path,
) -> None:
    class Opaque(FakeChain):
        async def closing(self, address: str) -> Closing | None:
            closing = await super().closing(address)
            return Closing(closing.transaction, None) if closing else None

    async with world(tmp_path) as market:
        market.chain = Opaque(market.clock)
        market.node("only")
        await market.start()
        task_id = await market.submit()
        row = await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id)
        assert lease.settlement.paid_micro_usdc == row.cost_micro_usdc > 0


@on_asyncio
async def test_a_settled_lease_has_its_receipt_in_the_same_moment(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        market.node("only")
        await market.start()
        task_id = await market.submit()
        seen: list[bool] = []

        async def settled() -> bool:
            stored = await market.database.read(events.after, 0, task_id=task_id)
            if not any(event.kind == "task.settled" for event in stored):
                return False
            (lease,) = await market.leases(task_id)
            receipt = await market.database.read(leases.receipt, lease.id)
            seen.append(receipt is not None and bool(verify_receipt(receipt)))
            return True

        await market.until(settled, turning_ms=100)
        assert seen == [True]


class SlowChain(FakeChain):
    """A chain whose blocks come when the test says so."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked = asyncio.Event()
        self.block = asyncio.Event()

    async def open(self, terms: EscrowTerms) -> OpenedEscrow:
        self.asked.set()
        await self.block.wait()
        return await super().open(terms)


@on_asyncio
async def test_an_escrow_of_a_job_cancelled_before_its_start_is_given_back_at_once(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        chain = market.chain = SlowChain(market.clock)
        node = market.node("only")
        life = await market.start()
        task_id = await market.submit()
        await chain.asked.wait()
        await life.orchestrator.request_cancel(task_id)
        await market.until_phase(task_id, Phase.CANCELLED)
        assert chain.opens == 0
        cancelled_ms = market.clock.now
        chain.block.set()
        (lease,) = await market.until_settled(task_id, turning_ms=100)
        assert market.clock.now - cancelled_ms < CLAIM_PATIENCE_MS / 10
        assert lease.settlement.paid_micro_usdc == 0
        assert chain.closings[lease.escrow].transaction == transaction(f"redeem {lease.id}")
        assert node.containers_started == []


@on_asyncio
async def test_a_coordinator_killed_before_it_told_of_the_escrow_tells_it_after_all(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        chain = market.chain = SlowChain(market.clock)
        node = market.node("only")
        life = await market.start()
        task_id = await market.submit()
        await chain.asked.wait()
        await life.orchestrator.request_cancel(task_id)
        await market.until_phase(task_id, Phase.CANCELLED)
        node.behaviour.deaf = True
        chain.block.set()

        async def is_final() -> bool:
            (lease,) = await market.leases(task_id)
            return lease.settlement.phase is SettlementPhase.FINAL

        await market.until(is_final)
        await market.stop()
        node.behaviour.deaf = False
        began_ms = market.clock.now
        await market.start()
        (lease,) = await market.until_settled(task_id, turning_ms=100)
        assert market.clock.now - began_ms < CLAIM_PATIENCE_MS / 10
        assert chain.closings[lease.escrow].transaction == transaction(f"redeem {lease.id}")
