from dataclasses import replace
from pathlib import Path

from coordinator.api_world import TASK, USDC, World, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_marketplace.resources import Capacity


async def list_ids(world: World, query: str = "") -> list[str]:
    client = (await world.customer(f"reader of {query}")).http
    data = (await client.get(f"/api/v1/nodes?{query}")).json()["data"]
    assert data["total"] >= len(data["nodes"])
    return [node["id"] for node in data["nodes"]]


@on_asyncio
async def test_a_node_is_shown_as_the_document_says(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        data = (await alice.http.get("/api/v1/nodes")).json()["data"]
        assert (data["total"], data["limit"], data["offset"]) == (2, 50, 0)
        node = next(node for node in data["nodes"] if node["id"] == node_id("one"))
        assert node["status"] == "online"
        assert node["region"] == "eu-west"
        assert node["gpu_info"] == {
            "model": "NVIDIA L4",
            "memory": "24GB",
            "compute_capability": "8.9",
            "count": 1,
        }
        assert node["capabilities"] == ["container", "gpu"]
        assert node["price_per_hour"] == "0.10"
        assert node["last_seen"].endswith("Z")


@on_asyncio
async def test_nodes_are_filtered_by_status_and_region(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        far = node_view("far", region="us-east")
        nothing_left = Capacity(0, 0, 0)
        busy = node_view("busy", free=nothing_left)
        draining = node_view("draining", accepting=False)
        for view in (far, busy, draining):
            await world.nodes.on_node(view.offer.node_id, "joined", view)
        gone = node_view("two")
        await world.nodes.on_node(gone.offer.node_id, "left", gone)
        assert await list_ids(world, "region=us-east") == [node_id("far")]
        assert await list_ids(world, "status=offline") == [node_id("two")]
        assert await list_ids(world, "status=busy") == sorted(
            [node_id("busy"), node_id("draining")]
        )
        assert await list_ids(world, "status=online") == sorted([node_id("one"), node_id("far")])
        everybody = sorted(node_id(name) for name in ("one", "two", "far", "busy", "draining"))
        assert await list_ids(world, "limit=2&offset=1") == everybody[1:3]


@on_asyncio
async def test_a_node_has_a_record_here(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for _ in range(2):
            task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
            await world.start(task_id)
            await world.finish(task_id)
            await world.pay(task_id)
        view = node_view("one")
        half = replace(view.offer.free, cpu_millis=2000)
        cpu = "AMD EPYC 9554 64-Core Processor"
        changed = replace(view, offer=replace(view.offer, free=half, cpu_model=cpu))
        await world.nodes.on_node(node_id("one"), "heartbeat", changed)
        data = (await alice.http.get(f"/api/v1/nodes/{node_id('one')}")).json()["data"]
        listed = (await alice.http.get("/api/v1/nodes")).json()["data"]["nodes"]
        models = {node["id"]: node["cpu_model"] for node in listed}
        assert models == {node_id("one"): cpu, node_id("two"): ""}
        assert data["cpu_model"] == cpu
        assert data["total_tasks_completed"] == 2
        assert data["earnings"] == {"total": "0.002", "currency": "USDC", "last_30_days": "0.002"}
        assert data["current_load"] == 0.5
        assert data["uptime"] == "0d 0h 1m"
        assert data["owner"] == view.offer.wallet
        unknown = await alice.http.get(f"/api/v1/nodes/{node_id('nobody')}")
        assert unknown.json()["error"]["code"] == "NOT_FOUND"


@on_asyncio
async def test_the_account_shows_where_its_money_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.chain.funds_of[alice.account.wallet] = ClientFunds(
            50 * USDC, 7 * USDC, 100 * USDC, 3_500_000
        )
        await alice.http.post("/api/v1/tasks", json=TASK)
        data = (await alice.http.get("/api/v1/account")).json()["data"]
        assert (data["id"], data["name"]) == (alice.account.id, "alice")
        assert data["balance"] == {
            "available": "33.00",
            "held": "10.00",
            "escrowed": "7.00",
            "wallet": "3.50",
            "operator_limit": "100.00",
        }
        world.chain.away = True
        answer = await alice.http.get("/api/v1/account")
        assert answer.json()["error"]["code"] == "UNAVAILABLE"
