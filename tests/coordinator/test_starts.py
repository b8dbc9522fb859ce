"""What a node says of its starts, held against the coordinator's clock."""

from pathlib import Path

from coordinator.fake_nodes import FakeNode
from coordinator.market_world import World, world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS
from neurogrid_coordinator.services.auctions import Auctions
from neurogrid_coordinator.store import evidence, leases
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_coordinator.trust.standings import Standings
from neurogrid_marketplace.calibration import MeasuredStart
from neurogrid_marketplace.fields import decode
from neurogrid_marketplace.messages import Award
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.task import Phase


async def run_one(market: World, node: FakeNode) -> LeaseRow:
    task_id = await market.submit()
    await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
    (lease,) = await market.until_settled(task_id)
    assert lease.node_id == node.node_id
    return lease


@on_asyncio
async def test_a_start_is_measured_from_the_open_escrow_to_the_report(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("slow")
        node.behaviour.start_ms = 4_000
        await market.start()
        lease = await run_one(market, node)
        assert lease.start_took_ms is not None
        assert lease.start_took_ms >= 4_000
        (measured,) = await market.database.read(leases.starts_of_node, node.node_id)
        assert measured == MeasuredStart(1_000, lease.start_took_ms)
        assert market.measured == [node.node_id]


@on_asyncio
async def test_a_start_that_fell_into_our_own_absence_is_not_measured(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("patient")
        await market.start()
        node.behaviour.mute = True
        task_id = await market.submit()

        async def runs() -> bool:
            return bool(node.containers_started)

        await market.until(runs)
        await market.stop()
        market.clock.now += 10_000
        node.behaviour.mute = False
        await market.start()
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id)
        assert lease.start_took_ms is None
        assert await market.database.read(leases.starts_of_node, node.node_id) == []


@on_asyncio
async def test_the_factor_becomes_part_of_the_nodes_standing(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        node = market.node("late")
        node.behaviour.start_ms = 9_000
        await market.start()
        for _ in range(3):
            await run_one(market, node)
        told: list[dict[str, Standing]] = []

        async def no_stakes(wallets: object) -> dict[str, int]:
            return {}

        standings = Standings(
            database=market.database,
            stakes=no_stakes,
            tell=lambda changed: told.append(dict(changed)),
            challenges_scored=False,
            now_ms=lambda: NOW_MS,
        )
        await standings.on_node(node.node_id, "joined", node.view())
        await standings.refresh()
        ((standing,),) = [list(changed.values()) for changed in told]
        # Three of eight took nine times as long as was said, or a little more.
        assert 4_000 <= standing.start_factor_permille <= 4_200


@on_asyncio
async def test_the_award_names_the_factors_and_the_receipt_holds_with_them(tmp_path: Path) -> None:
    async with world(tmp_path) as market:
        late, punctual = market.node("late", 1_000_000), market.node("punctual", 1_000_500)
        late.behaviour.start_factor_permille = 30_000
        await market.start()
        lease = await run_one(market, punctual)
        (award,) = await market.database.read(evidence.of, lease.id, "award")
        (factor,) = decode(Award, award.body).start_factors_permille.values()
        assert factor == 30_000
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        (item,) = [i for i in verify_receipt(receipt).items if i.name == "start_factors"]
        assert item.proof is Proof.CLAIMED
        (held,) = await Auctions(market.database).of_task(market.account, lease.task_id)
        assert [ranked.start_factor_permille for ranked in held.ranking] == [1_000, 30_000]
        assert held.ranking[0].bid_hash == lease.lease.bid_hash
        price = held.ranking[0].award_price_micro_usdc_per_hour
        assert price == lease.lease.price_micro_usdc_per_hour > 1_000_500
