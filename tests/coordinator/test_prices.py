import asyncio
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from coordinator.api_world import TASK, USDC, World, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from neurogrid_coordinator.price_telling import tell_prices
from neurogrid_coordinator.store import prices
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.tables import price_hours
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.price_history import CPU, HOUR_MS, PriceClass, summary
from neurogrid_marketplace.price_sheet import PriceSheet
from neurogrid_marketplace.resources import Capacity

pytestmark = pytest.mark.both_databases

BOUGHT = PriceClass(CPU, 2000)
START_MS = 1_800_000_000_000


@on_asyncio
async def test_awards_of_one_hour_are_one_row(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:
        for price in (10, 20, 60):
            await database.write(prices.add, BOUGHT, price, 400, START_MS + price)
        await database.write(prices.add, PriceClass("NVIDIA L4", 1000), 70, 400, START_MS)
        (cpu,) = await database.read(prices.since, START_MS, CPU)
        assert len(await database.read(prices.since, START_MS)) == 2
        found = summary([cpu])
        assert found is not None
        assert (found.awards, found.lowest_micro_usdc, found.highest_micro_usdc) == (3, 5, 30)


@on_asyncio
async def test_hours_older_than_a_month_are_deleted(tmp_path: Path) -> None:
    async with Database.open(place_in(tmp_path)) as database:
        for now_ms in (START_MS, START_MS + HOUR_MS, START_MS + prices.KEPT_MS + HOUR_MS):
            await database.write(prices.add, BOUGHT, 10, 400, now_ms)
        kept = [hour.at_ms for hour in await database.read(prices.since, 0)]
        assert kept == [START_MS + HOUR_MS, START_MS + prices.KEPT_MS + HOUR_MS]


@on_asyncio
async def test_however_many_classes_nodes_invent_the_rows_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prices, "ROWS_MAX", 5)
    async with Database.open(place_in(tmp_path)) as database:
        for number in range(20):
            bought = PriceClass(f"GPU {number:02}", 1000)
            await database.write(prices.add, bought, 10, 400, START_MS + number * HOUR_MS)
        count = await database.read(
            lambda conn: conn.execute(select(func.count()).select_from(price_hours)).scalar_one()
        )
        assert count == 5
        names = [hour.name for hour in await database.read(prices.since, 0)]
        assert names == [f"GPU {number}" for number in range(15, 20)]


async def cleared(world: World, *awards: tuple[PriceClass, int, int]) -> None:
    """Awards at (what, micro-USDC per hour, hours ago)."""
    for bought, price, hours_ago in awards:
        at_ms = time.time_ns() // 1_000_000 - hours_ago * HOUR_MS
        await world.database.write(prices.add, bought, price, 500, at_ms)


@on_asyncio
async def test_the_market_shows_what_awards_cleared_at(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        l4 = PriceClass("NVIDIA L4", 2000)
        await cleared(world, (l4, 2 * USDC, 0), (l4, 4 * USDC, 3), (BOUGHT, USDC, 0), (l4, 1, 99))
        data = (await alice.http.get("/api/v1/market/prices")).json()["data"]
        assert [(each["name"], each["unit"], each["awards"]) for each in data["classes"]] == [
            ("NVIDIA L4", "GPU", 2),
            ("cpu", "core", 1),
        ]
        first = data["classes"][0]
        assert (first["lowest"], first["highest"]) == ("1.00", "2.00")
        assert first["start_seconds"] == pytest.approx(0.5, rel=0.04)
        assert first["hours"] == []
        one = await alice.http.get("/api/v1/market/prices?class=NVIDIA L4&hours=720")
        (of_l4,) = one.json()["data"]["classes"]
        assert [hour["awards"] for hour in of_l4["hours"]] == [1, 1, 1]
        assert of_l4["hours"][-1]["highest"] == "1.00"
        for query in ("hours=0", "hours=721", "class=" + "x" * 141):
            assert (await alice.http.get(f"/api/v1/market/prices?{query}")).status_code == 422


@on_asyncio
async def test_node_owners_are_told_a_week_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        l4 = PriceClass("NVIDIA L4", 2000)
        await cleared(world, (l4, 2 * USDC, 0), (l4, 4 * USDC, 3), (BOUGHT, USDC, 0), (l4, 1, 200))
        # Nodes name their GPUs, and this one would write on an owner's terminal.
        await cleared(world, (PriceClass("\x1b[2J", 1000), USDC, 0))
        told: list[PriceSheet] = []
        now_ms = time.time_ns() // 1_000_000
        task = asyncio.create_task(tell_prices(world.database, told.append, lambda: now_ms))
        while not told:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)
        task.cancel()
        (sheet,) = told
        assert (sheet.made_at_ms, sheet.hours) == (now_ms, 168)
        assert [(each.name, each.awards) for each in sheet.classes] == [
            ("NVIDIA L4", 2),
            ("cpu", 1),
        ]
        first = sheet.classes[0]
        assert (first.lowest_micro_usdc, first.highest_micro_usdc) == (USDC, 2 * USDC)


@on_asyncio
async def test_an_estimate_says_price_total_start_and_balance(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        dear = PriceList(cpu_core_micro_usdc_per_hour=USDC // 5)
        world.market.views.append(node_view("three", prices=dear))
        alice = await world.customer("alice")
        await cleared(world, (BOUGHT, USDC, 1))
        data = (await alice.http.post("/api/v1/match/estimate", json=TASK)).json()["data"]
        assert data["price_per_hour"] == {"low": "0.20", "expected": "0.20", "high": "1.00"}
        assert data["total"]["expected"] == "0.20"
        assert (data["matching"], data["suitable"], data["nodes"]) == (3, 3, 3)
        assert data["balance"] == {"available": "100.00", "needed": "10.00", "enough": True}
        assert data["history"]["name"] == "cpu"
        assert data["start_seconds"] == pytest.approx(0.5, rel=0.04)
        assert "Likely 0.20 USDC per hour" in data["summary"]
        assert world.woken == []


@on_asyncio
async def test_an_estimate_says_what_is_in_the_way(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        estimate = "/api/v1/match/estimate"

        async def ask(**changes: object) -> dict[str, object]:
            answer = await alice.http.post(estimate, json=TASK | changes)
            found = answer.json()["data"]
            assert isinstance(found, dict)
            return found

        dear = await ask(max_price_per_hour="0.01")
        assert dear["price_per_hour"] is None
        assert dear["lowest_ask_per_hour"] == "0.20"
        assert dear["summary"] == "The lowest ask is 0.20 USDC per hour, above the maximum."
        nowhere = await ask(constraints="region = mars")
        assert (nowhere["price_per_hour"], nowhere["suitable"]) == (None, 0)
        assert "None of 2 nodes matches" in str(nowhere["summary"])
        poor = await ask(max_price_per_hour="1000")
        assert poor["balance"] == {"available": "100.00", "needed": "1000.00", "enough": False}
        world.market.views = [node_view("one", free=Capacity(0, 0, 0))]
        busy = await ask()
        assert (busy["matching"], busy["suitable"], busy["start_seconds"]) == (0, 1, None)
        assert "Nobody is free now" in str(busy["summary"])
        refused = await alice.http.post(estimate, json=TASK | {"constraints": "ram >= 1"})
        assert refused.status_code == 422
        world.chain.away = True
        assert (await alice.http.post(estimate, json=TASK)).status_code == 503


@on_asyncio
async def test_a_gpu_task_is_estimated_by_the_gpu_of_the_cheapest_node(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await cleared(world, (PriceClass("NVIDIA L4", 1000), 3 * USDC, 1), (BOUGHT, USDC, 1))
        data = (await alice.http.post("/api/v1/match/estimate", json=TASK | {"type": "gpu"})).json()
        assert data["data"]["history"]["name"] == "NVIDIA L4"
