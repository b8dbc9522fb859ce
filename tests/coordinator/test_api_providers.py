"""Providers: wallets with machines, found by what those have."""

from dataclasses import replace
from pathlib import Path

from coordinator.api_world import GIB, TASK, USDC, World, node_view, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id, wallet
from neurogrid_coordinator.market.reports import NodeView
from neurogrid_marketplace.offer import PriceList
from neurogrid_marketplace.resources import Capacity, Gpu
from neurogrid_marketplace.standing import Standing

PROVIDERS = "/api/v1/providers"
_RTX = tuple(Gpu(f"GPU-{n}", "NVIDIA GeForce RTX 4090", 24 * GIB, "8.9") for n in (1, 2))


async def join(world: World, view: NodeView, standing: Standing | None = None) -> None:
    if standing is not None:
        world.standings[view.offer.node_id] = standing
    await world.nodes.on_node(view.offer.node_id, "joined", view)


async def filled(world: World) -> None:
    """Beside `one` and `two`, with an L4 each: `big`, of two machines, a dear and a cheaper one."""
    total = Capacity(16_000, 64 * GIB, 500 * GIB, _RTX)
    prices = PriceList(cpu_core_micro_usdc_per_hour=USDC // 10, gpu_micro_usdc_per_hour=2 * USDC)
    big = node_view(
        "big", wallet=wallet("big"), total=total, free=total, prices=prices, region="us-east"
    )
    await join(world, big, Standing(900, 7 * USDC))
    small = node_view("small", wallet=wallet("big"), accepting=False)
    await join(world, small, Standing(400, 7 * USDC))


async def found(world: World, query: str = "") -> list[str]:
    reader = await world.customer(f"reader of {query}")
    answer = await reader.http.get(f"{PROVIDERS}?{query}")
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data["total"] >= len(data["providers"])
    return [provider["id"] for provider in data["providers"]]


@on_asyncio
async def test_providers_are_found_by_what_one_of_their_machines_has(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await filled(world)
        big, one, two = wallet("big"), wallet("one"), wallet("two")
        everybody = sorted([big, one, two])
        assert await found(world) == everybody, "as cheap as each other, by their wallets"
        # Document 003's own search.
        query = "gpu_memory_min=8&cpu_cores_min=4&max_price=15.00&location=us-east"
        assert await found(world, query) == [big]
        for query, wanted in [
            ("gpu_model=rtx%204090", [big]),
            ("gpu_model=l4", everybody),
            ("gpu_count_min=2", [big]),
            ("gpu_count_min=3", []),
            # No machine has both, though the provider does.
            ("gpu_model=l4&location=us-east", []),
            ("cpu_cores_min=5", [big]),
            ("ram_gb_min=60&storage_gb_min=400", [big]),
            # What a machine asks is for all that is asked for: 4 x 0.10 and a GPU.
            ("cpu_cores_min=4&gpu_memory_min=8&max_price=1.40", everybody),
            ("cpu_cores_min=4&gpu_memory_min=8&max_price=1.39", []),
            ("score_min=40", [big]),
            ("score_min=90&gpu_model=l4", []),
            ("available=true&location=eu-west", sorted([one, two])),
            ("available=false", [big]),
            ("status=busy", [big]),
            ("status=offline", []),
            ("limit=1&offset=1", everybody[1:2]),
        ]:
            assert await found(world, query) == wanted, query
        gone = node_view("two")
        await world.nodes.on_node(gone.offer.node_id, "left", gone)
        assert two not in await found(world, "limit=99")
        assert await found(world, "status=offline&limit=9") == [two]
        reader = await world.customer("bad reader")
        for query in ("max_price=nan", "max_price=-1", "gpu_memory_min=inf", "score_min=101"):
            check_error(await reader.http.get(f"{PROVIDERS}?{query}"), 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_provider_is_shown_with_its_machines_and_its_record(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await filled(world)
        alice = await world.customer("alice")
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        await world.finish(task_id)
        await world.pay(task_id)
        answer = await alice.http.get(f"{PROVIDERS}/{wallet('one')}")
        one = answer.json()["data"]
        assert (one["jobs_paid"], one["performance_score"], one["stake"]) == (1, None, None)
        assert one["earnings"] == {"total": "0.001", "currency": "USDC", "last_30_days": "0.001"}
        big = (await alice.http.get(f"{PROVIDERS}/{wallet('big')}")).json()["data"]
        assert [node["id"] for node in big["nodes"]] == sorted([node_id("big"), node_id("small")])
        shown = {name: value for name, value in big.items() if name not in ("nodes", "last_seen")}
        assert shown == {
            "id": wallet("big"),
            "status": "online",
            "locations": ["eu-west", "us-east"],
            "price_per_hour": "0.10",
            "performance_score": 40.0,
            "stake": "7.00",
            "node_count": 2,
            "nodes_available": 1,
            "gpus": [
                {"model": "NVIDIA GeForce RTX 4090", "memory_gb": 25.77, "count": 2, "free": 2},
                {"model": "NVIDIA L4", "memory_gb": 25.77, "count": 1, "free": 1},
            ],
            "cpu_cores": 16.0,
            "ram_gb": 68.719,
            "storage_gb": 536.871,
            "jobs_paid": 0,
            "earnings": {"total": "0.00", "currency": "USDC", "last_30_days": "0.00"},
        }
        view = node_view("one")
        none_free = replace(view, offer=replace(view.offer, free=Capacity(0, 0, 0)))
        await world.nodes.on_node(node_id("one"), "heartbeat", none_free)
        one = (await alice.http.get(f"{PROVIDERS}/{wallet('one')}")).json()["data"]
        assert (one["status"], one["nodes_available"], one["gpus"][0]["free"]) == ("busy", 0, 0)
        check_error(await alice.http.get(f"{PROVIDERS}/{wallet('nobody')}"), 404, "NOT_FOUND")
