from pathlib import Path

from coordinator.api_world import node_view, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.records import NOW_MS, node_id
from neurogrid_coordinator.trust.gpu_sightings import GpuSightings
from neurogrid_marketplace.resources import Capacity, Gpu

ONE, TWO, OTHER = node_id("one"), node_id("two"), node_id("other")


@on_asyncio
async def test_a_gpu_at_two_nodes_is_evidence_against_both_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        told: list[str] = []
        gpus = GpuSightings(database=world.database, found_out=told.append, now_ms=lambda: NOW_MS)
        alone = Capacity(4000, 10**9, 10**9, (Gpu("GPU-2", "NVIDIA L4", 24 * 2**30, "8.9"),))
        await gpus.on_node(OTHER, "joined", node_view("other", total=alone, free=alone))
        for _ in range(2):
            await gpus.on_node(ONE, "joined", node_view("one"))
            await gpus.on_node(TWO, "joined", node_view("two"))
            await gpus.on_node(TWO, "heartbeat", node_view("two"))
            await gpus.on_node(ONE, "left", node_view("one"))
        assert sorted(told) == sorted([ONE, TWO])
        alice = await world.customer("alice")
        data = (await alice.http.get(f"/api/v1/nodes/{TWO}/evidence")).json()["data"]
        assert [(item["kind"], item["details"]) for item in data["evidence"]] == [
            ("gpu_shared", {"gpu": "GPU-1", "also_at": ONE})
        ]
        nothing = (await alice.http.get(f"/api/v1/nodes/{OTHER}/evidence")).json()["data"]
        assert nothing["evidence"] == []
        reputation = (await alice.http.get(f"/api/v1/nodes/{TWO}/reputation")).json()["data"]
        assert reputation["score"] == 500
        assert [(item["kind"], item["scored"]) for item in reputation["findings"]] == [
            ("gpu_shared", False)
        ]


@on_asyncio
async def test_a_gpu_that_moved_to_another_node_is_no_evidence(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        told: list[str] = []
        gpus = GpuSightings(database=world.database, found_out=told.append, now_ms=lambda: NOW_MS)
        await gpus.on_node(ONE, "joined", node_view("one"))
        await gpus.on_node(ONE, "left", node_view("one"))
        await gpus.on_node(TWO, "joined", node_view("two"))
        assert told == []
