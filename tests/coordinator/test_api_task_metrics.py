"""What a task's job uses, as its owner is shown it."""

from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id
from neurogrid_coordinator.config import RetentionConfig
from neurogrid_coordinator.retention import forget_once
from neurogrid_coordinator.store import events, usage
from neurogrid_coordinator.store.usage import Said
from neurogrid_coordinator.tasks.usage_series import SAMPLES_MAX
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.usage import GpuUse, LeaseUsage

GPUS = (GpuUse("GPU-1", 90, 2**30, 66, 250_500),)


async def running(world: World, owner: Customer) -> tuple[str, str]:
    """A task that runs, and its lease."""
    task_id = (await owner.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
    lease = (await world.start(task_id)).lease
    assert lease is not None
    return task_id, lease.lease_id


async def said(
    world: World, lease_id: str, cpu_ms: int, *, by: str = "one", **changes: Any
) -> bool:
    """A node's word, five seconds after the one before."""
    world.now_ms += 5_000
    told = Said(lease_id, LeaseUsage(cpu_ms, 2**28, **changes), 2**29)
    return await world.database.write(usage.add, node_id(by), told, world.now_ms, is_last=False)


async def metrics(owner: Customer, task_id: str, query: str = "") -> Any:
    answer = await owner.http.get(f"/api/v1/tasks/{task_id}/metrics{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.both_databases
@on_asyncio
async def test_what_its_node_measures_is_shown_as_a_series_and_its_sum(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id, lease_id = await running(world, alice)
        nothing = await metrics(alice, task_id)
        assert (nothing["status"], nothing["samples"]) == ("running", [])
        assert (nothing["summary"]["samples"], nothing["summary"]["gpu_usage_mean"]) == (0, None)
        assert nothing["summary"]["memory_limit_bytes"] == 10**9

        await said(world, lease_id, 1_000)
        await said(
            world,
            lease_id,
            6_000,
            disk_read_bytes=5,
            disk_written_bytes=6,
            network_received_bytes=7,
            network_sent_bytes=8,
            gpus=GPUS,
        )
        found = await metrics(alice, task_id)
        first, second = found["samples"]
        assert (first["cpu_usage"], first["cpu_seconds"], first["gpus"]) == (None, 1.0, [])
        # Five seconds of two cores, half of which it used.
        assert (second["cpu_usage"], second["memory_usage"]) == (50.0, 26.8)
        assert (second["lease_id"], second["gpu_usage"]) == (lease_id, 90.0)
        assert second["gpus"] == [
            {
                "id": "GPU-1",
                "utilization": 90,
                "memory_used_bytes": 2**30,
                "temperature": 66,
                "power_watts": 250.5,
            }
        ]
        assert found["summary"] == {
            "samples": 2,
            "cpu_seconds": 6.0,
            "memory_bytes": 2**28,
            "memory_peak_bytes": 2**29,
            "memory_limit_bytes": 10**9,
            "disk_read_bytes": 5,
            "disk_written_bytes": 6,
            "network_received_bytes": 7,
            "network_sent_bytes": 8,
            "gpu_usage_mean": 90.0,
            "gpu_usage_max": 90,
            "gpu_memory_peak_bytes": 2**30,
            "gpu_temperature_max": 66,
            "gpu_power_max_watts": 250.5,
        }
        assert [
            each["cpu_usage"] for each in (await metrics(alice, task_id, "?limit=1"))["samples"]
        ] == [50.0]
        assert (await metrics(alice, task_id, "?limit=0"))["samples"] == []
        check_error(
            await alice.http.get(f"/api/v1/tasks/{task_id}/metrics?limit=-1"),
            422,
            "INVALID_REQUEST",
        )
        await world.finish(task_id)
        ended = await metrics(alice, task_id)
        assert (ended["status"], ended["progress"]) == ("completed", 100.0)
        assert ended["samples"] == found["samples"]


@on_asyncio
async def test_nobody_says_anything_of_anothers_lease_and_a_long_run_stays_small(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        task_id, lease_id = await running(world, alice)
        assert not await said(world, lease_id, 1_000, by="two")
        assert not await said(world, "lease_none", 1_000)
        assert await said(world, lease_id, 1_000)
        world.now_ms -= 5_000
        assert not await said(world, lease_id, 2_000), "a moment after the one before"
        for number in range(3 * SAMPLES_MAX):
            await said(world, lease_id, 2_000 + number)
        found = await metrics(alice, task_id, "?limit=960")
        assert found["summary"]["samples"] == len(found["samples"]) <= SAMPLES_MAX
        assert len(found["samples"]) > SAMPLES_MAX // 3
        answer = await mallory.http.get(f"/api/v1/tasks/{task_id}/metrics")
        check_error(answer, 404, "NOT_FOUND")
        # It goes with what happened to the task.
        await world.finish(task_id)
        later = world.now_ms + 8 * 86_400_000
        assert (await forget_once(world.database, RetentionConfig(events_days=7), later))["events"]
        assert (await metrics(alice, task_id))["summary"]["samples"] == 0


@on_asyncio
async def test_progress_comes_with_what_is_used(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id, _ = await running(world, alice)
        for used in (None, LeaseUsage(2_500, 2**20, gpus=GPUS)):
            data: dict[str, Json] = {
                "node_id": node_id("one"),
                "progress_permille": 500,
                "note": "",
                "metered_ms": 1,
                "memory_peak_bytes": 2**21,
                "usage": None if used is None else plain(used),
            }
            await world.database.write(
                events.append, task_id, alice.account.id, world.now_ms, events.PROGRESS, data
            )
        await world.finish(task_id)
        listed = (await alice.http.get("/api/v1/events?types=task.progress")).json()["data"]
        assert [event["metrics"] for event in listed["events"]] == [
            None,
            {
                "cpu_seconds": 2.5,
                "memory_bytes": 2**20,
                "memory_peak_bytes": 2**21,
                "gpu_usage": 90.0,
            },
        ]
