"""A task that asks for sealed bids, from the request to the receipt and the auction's page."""

from pathlib import Path

from coordinator.api_world import TASK, open_world
from coordinator.market_world import world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services.auctions import Auctions
from neurogrid_coordinator.store import leases
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.receipt import verify_receipt
from neurogrid_marketplace.receipt_items import Proof
from neurogrid_marketplace.task import Phase


@on_asyncio
async def test_a_request_for_sealed_bids_becomes_a_demand_for_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as made:
        alice = await made.customer("alice")
        for wanted in (False, True):
            answer = await alice.http.post("/api/v1/tasks", json=TASK | {"sealed_bids": wanted})
            assert answer.status_code == 201, answer.text
            task = answer.json()["data"]
            assert task["sealed_bids"] is wanted
            assert demand_of(await made.state(task["id"])).sealed_bids is wanted


@on_asyncio
async def test_the_same_key_with_open_bids_is_another_request(tmp_path: Path) -> None:
    async with open_world(tmp_path) as made:
        alice = await made.customer("alice")
        key = {"Idempotency-Key": "one"}
        await alice.http.post("/api/v1/tasks", json=TASK | {"sealed_bids": True}, headers=key)
        again = await alice.http.post("/api/v1/tasks", json=TASK, headers=key)
        assert again.status_code == 409


@on_asyncio
async def test_commitments_are_in_the_receipt_and_who_showed_nothing_is_named(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as market:
        winner = market.node("winner", 1_000_000)
        market.node("second", 1_100_000)
        hider = market.node("hider", 900_000)
        hider.behaviour.hides_bid = True
        await market.start()
        task_id = await market.submit(sealed_bids=True)
        await market.until_phase(task_id, Phase.COMPLETED, turning_ms=100)
        (lease,) = await market.until_settled(task_id)
        assert lease.node_id == winner.node_id
        receipt = await market.database.read(leases.receipt, lease.id)
        assert receipt is not None
        items = {item.name: item for item in verify_receipt(receipt).items}
        assert items["sealed_bids"].proof is Proof.PROVEN
        assert items["not_revealed"].shows.startswith("that 1 of 3 nodes")
        (held,) = await Auctions(market.database).of_task(market.account, task_id)
        assert held.unrevealed == (hider.node_id,)
        assert len(held.ranking) == 2
