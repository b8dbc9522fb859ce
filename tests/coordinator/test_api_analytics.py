"""Figures that documents 001 and 002 print, measured."""

import asyncio
from pathlib import Path

import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.owned_things import failure, finished_task
from neurogrid_coordinator.services import health
from neurogrid_coordinator.services.health import Services
from neurogrid_coordinator.services.pulse import Pulse
from neurogrid_marketplace.faults import Outcome

API = "/api/v1"


async def get(world: World, customer: Customer | None, path: str) -> dict[str, object]:
    http = customer.http if customer else world.client()
    answer = await http.get(API + path)
    assert answer.status_code == 200, answer.text
    data: dict[str, object] = answer.json()["data"]
    return data


@pytest.mark.both_databases
@on_asyncio
async def test_figures_are_what_happened(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        await finished_task(world, alice, "done")
        await failure(world, alice, "")
        assert (await alice.http.post(f"{API}/tasks", json=TASK)).status_code == 201
        await alice.http.put(f"{API}/account/limits", json={"monthly_budget": "100"})

        stats = await get(world, bob, "/analytics/stats")
        assert set(stats) == {
            *("total_nodes", "active_nodes", "total_tasks_today", "average_response_time"),
            *("network_uptime", "total_compute_hours"),
        }
        assert (stats["total_nodes"], stats["active_nodes"]) == (2, 2)
        assert stats["total_tasks_today"] == 3
        assert stats["network_uptime"] in (100.0, 50.0)

        usage = await get(world, alice, "/analytics/usage")
        month = usage["current_month"]
        assert isinstance(month, dict)
        assert set(month) == {"tasks_completed", "total_cost", "compute_time", "tokens_generated"}
        assert month["tasks_completed"] == 1
        assert month["total_cost"] > 0
        assert usage["limits"] == {"monthly_tasks": None, "monthly_budget": 100.0}
        assert usage["models"] == []
        assert (await get(world, bob, "/analytics/usage"))["current_month"] == {
            "tasks_completed": 0,
            "total_cost": 0.0,
            "compute_time": "0h 0m",
            "tokens_generated": 0,
        }

        metrics = await get(world, alice, "/metrics")
        assert metrics["tasks"] == {
            "total": 3,
            "completed": 1,
            "failed": 1,
            "cancelled": 0,
            "pending": 1,
            "running": 0,
        }
        performance = metrics["performance"]
        assert isinstance(performance, dict)
        assert performance["success_rate"] == 0.5
        assert performance["average_execution_time"] > 0
        assert isinstance(metrics["system"], dict)
        assert set(metrics["system"]) == {"cpu_usage", "memory_usage", "active_connections"}

        tasks = await get(world, alice, "/metrics/tasks?period=hour")
        assert (tasks["total"], tasks["completed"], tasks["failed"]) == (2, 1, 1)
        tasks = await get(world, alice, "/metrics/tasks?period=month&status=failed&type=cpu")
        assert (tasks["total"], tasks["completed"], tasks["failed"]) == (1, 0, 1)
        assert (await get(world, alice, "/metrics/tasks?type=gpu"))["total"] == 0

        shown = await get(world, bob, "/analytics/performance?timeframe=1h")
        assert isinstance(shown["metrics"], dict)
        assert shown["metrics"]["tasks_completed"] == shown["metrics"]["tasks_failed"] == 1
        shown = await get(world, bob, "/analytics/performance?metric=success_rate")
        assert shown == {"timeframe": "24h", "metrics": {"success_rate": 0.5}}
        for wrong in ("timeframe=2h", "metric=luck"):
            answer = await bob.http.get(f"{API}/analytics/performance?{wrong}")
            check_error(answer, 422, "INVALID_REQUEST")


@pytest.mark.both_databases
@on_asyncio
async def test_the_networks_uptime_counts_what_nodes_failed_and_nothing_else(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        async def leased(outcome: Outcome) -> None:
            answer = await alice.http.post(f"{API}/tasks", json=TASK)
            task_id = answer.json()["data"]["id"]
            await world.start(task_id)
            await world.finish(task_id, outcome=outcome)

        # Of an image that nobody has, of the network, of the client's program, and none at all.
        for outcome in (
            Outcome.PULL_STALLED,
            Outcome.IMAGE_NOT_FOUND,
            Outcome.INPUT_UNAVAILABLE,
            Outcome.EXIT_NONZERO,
            Outcome.COMPLETED,
        ):
            await leased(outcome)
        assert (await get(world, alice, "/analytics/stats"))["network_uptime"] == 100.0
    async with open_world(tmp_path) as world:
        alice = await world.customer("bob")
        await leased(Outcome.START_FAILED)
        assert (await get(world, alice, "/analytics/stats"))["network_uptime"] == 83.33


@on_asyncio
async def test_figures_of_nothing_are_no_errors(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        assert (await get(world, alice, "/analytics/stats"))["network_uptime"] == 100.0
        tasks = await get(world, alice, "/metrics/tasks")
        assert (tasks["total"], tasks["success_rate"], tasks["average_wait_time"]) == (0, 1.0, 0.0)


@on_asyncio
async def test_each_part_of_the_coordinator_says_how_it_is(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        status = await get(world, None, "/status")
        assert status["services"] == {
            "database": "healthy",
            "market": "healthy",
            "chain": "healthy",
            "orchestrator": "healthy",
            "scheduler": "healthy",
        }
        assert status["last_health_check"]
        part = await get(world, None, "/status/services/database")
        assert (part["service"], part["status"]) == ("database", "healthy")
        assert isinstance(part["details"], dict)
        assert part["details"]["query_time"] > 0
        assert part["details"]["last_error"] is None
        answer = await world.client().get(f"{API}/status/services/nothing")
        assert "there are database, market" in check_error(answer, 404, "NOT_FOUND")


def test_a_loop_that_does_not_go_round_is_told_from_one_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("neurogrid_coordinator.services.pulse.time.monotonic", lambda: now_s)
    loop = Pulse()
    assert loop.look() == ("unhealthy", {"last_round_seconds_ago": None}), "it never did"
    loop.beat()
    for later_s, expected in ((1.0, "healthy"), (11.0, "degraded"), (61.0, "unhealthy")):
        now_s = 1000.0 + later_s
        assert loop.look() == (expected, {"last_round_seconds_ago": later_s})


@on_asyncio
async def test_a_part_that_does_not_answer_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health, "CHECK_S", 0.05)
    asked = 0

    async def stuck() -> tuple[health.Health, health.Details]:
        nonlocal asked
        asked += 1
        await asyncio.sleep(3600)
        raise AssertionError

    async def broken() -> tuple[health.Health, health.Details]:
        raise ConnectionError("the password is swordfish")

    parts = Services({"stuck": stuck, "broken": broken})
    found = await asyncio.gather(*(parts.all() for _ in range(20)))
    assert asked == 1, "one at a time, and kept for a while"
    assert found[0]["stuck"].health == found[0]["broken"].health == "unhealthy"
    assert found[0]["stuck"].details == {"last_error": "no answer within 0.05 s"}
    assert found[0]["broken"].details == {"last_error": "ConnectionError"}
