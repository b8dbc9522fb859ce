"""Meters and vouchers as the coordinator keeps them for the receipt."""

from pathlib import Path

from coordinator.fake_parties import DOMAIN, SESSION
from coordinator.market_world import world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.money.vouchers import VoucherDesk
from neurogrid_coordinator.store import evidence, leases
from neurogrid_coordinator.tasks import node_messages
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.messages import (
    Event,
    EventKind,
    Meter,
    Result,
    VoucherLink,
    VoucherMessage,
)
from neurogrid_marketplace.payment_chain import NO_VOUCHER
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.task import Phase


@on_asyncio
async def test_a_long_run_leaves_its_meters_and_vouchers_in_the_receipt(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only", 3_600_000)
        node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(timeout_s=3600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)

        async def holds_three() -> bool:
            return node.leases[lease.id].vouchers_linked == 3

        await market.until(holds_three, turning_ms=500)
        node.behaviour.run_ms = 0
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=500)
        (lease,) = await market.until_settled(task_id)
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        items = {item.name: item for item in verify_receipt(receipt).items}
        assert items["metering"].proof is Proof.PROVEN
        assert items["vouchers_held"].shows.startswith("the node held the first 3")
        assert items["transaction"].proof is Proof.CLAIMED
        assert items["transaction"].signed_by == "coordinator, node"


@on_asyncio
async def test_a_voucher_that_was_lost_comes_again_before_anything_new_is_signed(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        node = market.node("only", 3_600_000)
        node.behaviour.run_ms = None
        await market.start()
        task_id = await market.submit(timeout_s=3600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)

        async def ask(metered_ms: int, held: str) -> VoucherMessage | None:
            """What the node would hear: it is deaf, so that nothing it says by itself comes between."""
            meter = Meter(lease.id, metered_ms, metered_ms, held)
            taken = await market.database.write(
                node_messages.take_meter,
                node.node_id,
                node.seal(meter),
                meter,
                market.clock(),
                VoucherDesk(SESSION, DOMAIN),
            )
            return next((item for item in taken.answers if isinstance(item, VoucherMessage)), None)

        node.behaviour.deaf = True
        market.clock.now += 200_000
        first = await ask(30_000, NO_VOUCHER)
        assert first is not None
        assert (first.cumulative_micro_usdc, first.link and first.link.number) == (30_000, 0)
        assert await ask(60_000, NO_VOUCHER) == first
        between = await ask(45_000, first.hash())
        assert between is not None
        assert (between.cumulative_micro_usdc, between.link) == (45_000, None)
        second = await ask(60_000, first.hash())
        assert second is not None
        assert second.link == VoucherLink(
            1, first.hash(), Meter(lease.id, 60_000, 60_000, first.hash()).hash()
        )
        assert await ask(90_000, "5" * 64) == second
        (lease,) = await market.leases(task_id)
        assert lease.settlement.signed_micro_usdc == 60_000
        kept = await market.database.read(evidence.meters_of, lease.id)
        assert [envelope.body["metered_ms"] for envelope in kept] == [30_000, 60_000]


@on_asyncio
async def test_a_result_that_names_a_voucher_nobody_signed_is_not_stored(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("only", 3_600_000)
        node.behaviour.run_ms = None
        life = await market.start()
        task_id = await market.submit(timeout_s=3600)
        await market.until_phase(task_id, Phase.RUNNING)
        (lease,) = await market.leases(task_id)
        result = Result(Outcome.COMPLETED, 0, "", 1_000, voucher_hash="5" * 64)
        lie = Event(lease.id, 2, EventKind.FINISHED, 0, lease.event_hash, result)
        await life.desk.on_message(node.node_id, node.seal(lie), lie)
        assert await market.leases(task_id) == [lease]
