"""Who bid for a task, as its owner sees it."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from coordinator.api_world import TASK, USDC, World, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id, wallet
from neurogrid_coordinator.store import evidence
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.task_events import AuctionClosed, Due

COORDINATOR = node_id("coordinator")


def envelope(kind: str, sender: str, recipient: str, body: Demand | Bid) -> Envelope:
    return Envelope(
        1, "ng-0", kind, sender, recipient, "session", 0, 1, dict(plain(body)), "0" * 128
    )


async def hold_auction(world: World, task_id: str, asks: dict[str, tuple[int, int]]) -> str:
    """An auction with these bids (price, start_ms); the winner's name."""
    task = await world.step(task_id, Due(world.now_ms))
    demand = demand_of(task)
    auction = Auction(
        demand.max_price_micro_usdc_per_hour, frozenset(node_id(name) for name in asks)
    )
    kept = []
    for name, (price, start_ms) in asks.items():
        bid = Bid(demand.demand_id, demand.hash(), price, start_ms, 2**50, wallet(name))
        signed = envelope("bid", node_id(name), COORDINATOR, bid)
        auction.bid(node_id(name), bid, signed.hash())
        kept += [envelope("demand", COORDINATOR, node_id(name), demand), signed]

    def keep(conn: Connection) -> None:
        for item in kept:
            evidence.append(conn, demand.demand_id, item)

    await world.database.write(keep)
    ranking = auction.ranking()
    await world.step(task_id, AuctionClosed(demand.demand_id, ranking, "2 nodes match"))
    return ranking[0].node_id


async def auctions_of(world: World, asks: dict[str, tuple[int, int]]) -> dict[str, Any]:
    alice = await world.customer("alice")
    answer = await alice.http.post("/api/v1/tasks", json=TASK)
    task_id = answer.json()["data"]["id"]
    path = f"/api/v1/tasks/{task_id}/auctions"
    assert (await alice.http.get(path)).json()["data"] == {"task_id": task_id, "auctions": []}
    winner = await hold_auction(world, task_id, asks)
    bob = await world.customer("bob")
    assert (await bob.http.get(path)).status_code == 404
    (auction,) = (await alice.http.get(path)).json()["data"]["auctions"]
    assert auction["winner"] == winner
    assert isinstance(auction, dict)
    return auction


@on_asyncio
async def test_every_bid_is_shown_best_first_with_what_decided(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        asks = {"dear": (USDC // 2, 100), "cheap": (USDC // 10, 100)}
        auction = await auctions_of(world, asks)
        assert auction["winner"] == node_id("cheap")
        # Paid the second score less its own waiting part, which is the same for both.
        assert auction["price_per_hour"] == "0.50"
        first, second = auction["bids"]
        assert (first["node_id"], first["price_per_hour"]) == (node_id("cheap"), "0.10")
        assert (second["node_id"], second["price_per_hour"]) == (node_id("dear"), "0.50")
        assert (first["won"], second["won"]) == (True, False)
        assert (first["start_seconds"], first["start_factor"]) == (0.1, 1.0)
        assert (first["start_seconds_p95"], first["cached_gb"]) == (None, 0.0)
        assert first["wallet"] == wallet("cheap")


@on_asyncio
async def test_a_quick_start_may_beat_a_lower_price(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        # TASK's maximum is 10 USDC: a second of waiting weighs a cent.
        asks = {"slow": (USDC // 10, 60_000), "quick": (USDC // 2, 1_000)}
        auction = await auctions_of(world, asks)
        assert auction["winner"] == node_id("quick")
        assert [bid["score"] for bid in auction["bids"]] == ["0.51", "0.70"]
