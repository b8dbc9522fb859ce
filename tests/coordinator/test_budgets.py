"""What an account lets itself spend: refused in the transaction that would hold more."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from coordinator.api_world import TASK, USDC, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services.budgets import month_start_ms, next_month_ms

pytestmark = pytest.mark.both_databases

LIMITS = "/api/v1/account/limits"
TASKS = "/api/v1/tasks"
# TASK may cost up to ten USDC.
COST = 10 * USDC


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-11-29T20:00:00", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59.999", "2026-12-01", "2027-01-01"),
        ("2028-02-01T00:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_a_month_is_the_calendars(now: str, start: str, end: str) -> None:
    assert month_start_ms(at_ms(now)) == at_ms(start)
    assert next_month_ms(at_ms(now)) == at_ms(end)


@on_asyncio
async def test_limits_are_the_accounts_own_to_set_and_replace(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        shown = (await alice.http.get(LIMITS)).json()["data"]
        assert shown["monthly_budget"] is shown["monthly_tasks"] is shown["task_budget"] is None
        body = {"monthly_budget": "25.00", "monthly_tasks": 7}
        shown = (await alice.http.put(LIMITS, json=body)).json()["data"]
        assert (shown["monthly_budget"], shown["monthly_tasks"]) == ("25.00", 7)
        shown = (await alice.http.put(LIMITS, json={"task_budget": "1"})).json()["data"]
        assert (shown["monthly_budget"], shown["task_budget"]) == (None, "1.00")
        assert (await bob.http.get(LIMITS)).json()["data"]["task_budget"] is None
        for wrong in ({"monthly_tasks": -1}, {"task_budget": "-1"}, {"tier": "pro"}):
            check_error(await alice.http.put(LIMITS, json=wrong), 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_task_that_could_cost_more_than_the_limit_for_one_is_refused(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(LIMITS, json={"task_budget": "9.99"})
        answer = await alice.http.post(TASKS, json=TASK)
        check_error(answer, 402, "QUOTA_EXCEEDED")
        assert answer.json()["error"]["type"] == "QuotaError"
        assert answer.json()["error"]["details"] == {
            "limit": "task_budget",
            "allowed": "9.99",
            "needed": "10.00",
        }
        cheaper = {**TASK, "max_total_cost": "9.99"}
        assert (await alice.http.post(TASKS, json=cheaper)).status_code == 201


@on_asyncio
async def test_a_months_tasks_are_counted_whatever_became_of_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(LIMITS, json={"monthly_tasks": 2})
        made = await alice.http.post(TASKS, json=TASK)
        await alice.http.delete(f"{TASKS}/{made.json()['data']['id']}")
        two = {"name": "two", "tasks": {"a": TASK, "b": TASK}}
        answer = await alice.http.post("/api/v1/workflows", json=two)
        check_error(answer, 402, "QUOTA_EXCEEDED")
        assert answer.json()["error"]["details"]["used"] == 1
        assert (await alice.http.post(TASKS, json=TASK)).status_code == 201
        check_error(await alice.http.post(TASKS, json=TASK), 402, "QUOTA_EXCEEDED")


@on_asyncio
async def test_of_submissions_at_one_moment_only_what_the_budget_bears_gets_in(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=1000 * USDC)
        await alice.http.put(LIMITS, json={"monthly_budget": "35"})
        answers = await asyncio.gather(*(alice.http.post(TASKS, json=TASK) for _ in range(10)))
        assert sorted(a.status_code for a in answers) == [201] * 3 + [402] * 7
        used = (await alice.http.get(LIMITS)).json()["data"]["used"]
        assert (used["tasks"], used["budget"]) == (3, "30.00")


@on_asyncio
async def test_what_is_promised_counts_until_it_is_known_what_it_cost(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=1000 * USDC)
        await alice.http.put(LIMITS, json={"monthly_budget": "15"})
        task_id = (await alice.http.post(TASKS, json=TASK)).json()["data"]["id"]

        async def used() -> float:
            return float((await alice.http.get(LIMITS)).json()["data"]["used"]["budget"])

        async def refused() -> None:
            check_error(await alice.http.post(TASKS, json=TASK), 402, "QUOTA_EXCEEDED")

        assert await used() == 10
        await refused()
        await world.start(task_id)
        # Held no more, but locked in an escrow, which is the second price's.
        assert 0 < await used() <= 10
        escrowed = await used()
        await world.finish(task_id)
        await world.pay(task_id)
        spent = await used()
        assert 0 < spent < escrowed
        assert (await alice.http.post(TASKS, json=TASK)).status_code == 201
        await refused()
