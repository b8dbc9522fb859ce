"""Document 001's API, as a client sees it that knows nothing else."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.answering import RESULT
from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.server.request_rules import RequestRules
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Phase

_AT = "/runner/api/v1"
_TASK: dict[str, Any] = {
    "id": "task-001",
    "prompt": "Write a haiku about programming",
    "messages": [
        {"role": "system", "content": "You are a creative assistant."},
        {"role": "user", "content": "Write a haiku about programming"},
    ],
    "model": "gpt-4",
    "temperature": 0.7,
    "maxTokens": 1000,
    "metadata": {"category": "creative", "priority": "high"},
    "batchId": "batch-001",
    "idempotencyKey": "task-001-unique-key",
}
_CSV = "id,prompt,model,temperature,maxTokens\na,Write a haiku,,0.5,20\nb,Sing,gpt-4,,\n"


def _left(text: str) -> bytes:
    """The file that the model's program leaves."""
    usage = {"prompt_tokens": 15, "completion_tokens": 50}
    return json.dumps({**RESULT, "text": text, "usage": usage}).encode()


@asynccontextmanager
async def _world(folder: Path, **changes: Any) -> AsyncGenerator[tuple[World, Customer]]:
    async with open_world(folder, **changes) as world:
        yield world, await world.customer("alice")


async def _completed(world: World, task_id: str, text: str) -> None:
    await world.start(task_id)
    await world.finish(task_id, await world.upload(task_id, "result.json", _left(text)))


def _data(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"] is True
    assert body["timestamp"].endswith("Z")
    # Natively, not each has one.
    assert "message" in body or not answer.request.url.path.startswith(_AT)
    return body["data"]


@pytest.mark.both_databases
@on_asyncio
async def test_a_task_lives_by_its_owners_id(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        http = alice.http
        answer = await http.post(f"{_AT}/tasks", json=_TASK)
        assert answer.json()["message"] == "Task created successfully"
        made = _data(answer, 201)
        assert (made["id"], made["status"]) == ("task-001", "pending")

        # Sent again with its key it makes nothing; with another body, or another key, it is refused.
        assert _data(await http.post(f"{_AT}/tasks", json=_TASK)) == made
        assert len(world.woken) == 1
        other = {**_TASK, "temperature": 1}
        check_error(await http.post(f"{_AT}/tasks", json=other), 409, "IDEMPOTENCY_MISMATCH")
        other = {**_TASK, "idempotencyKey": "another"}
        check_error(await http.post(f"{_AT}/tasks", json=other), 409, "CONFLICT")

        # The native task is one of a model's, which is asked what the messages say.
        native = _data(await http.get(f"/api/v1/tasks/{world.woken[0]}"))
        assert (native["kind"], native["model"]) == ("model", "talker")

        # What waits is asked for otherwise in its place.
        changes = {"prompt": "Updated", "temperature": 0.8, "metadata": {"priority": "urgent"}}
        view = _data(await http.patch(f"{_AT}/tasks/task-001", json=changes))
        assert (view["prompt"], view["temperature"], view["maxTokens"]) == ("Updated", 0.8, 1000)
        assert [each["content"] for each in view["messages"]][-1] == "Updated"
        assert view["metadata"] == {"category": "creative", "priority": "urgent"}
        first = world.woken[0]
        assert world.woken == [first, first]
        assert (view["executionId"], view["executions"]) == (first, 1)
        asked = _data(await http.get(f"/api/v1/tasks/{first}"))
        assert [entry["event"] for entry in asked["timeline"]] == ["task.created", "task.updated"]
        assert asked["inputs"] != native["inputs"]
        assert _data(await http.post(f"{_AT}/tasks", json=_TASK))["id"] == "task-001"

        # Executing what waits or runs changes nothing; changing what runs is refused.
        run = _data(await http.post(f"{_AT}/tasks/task-001/execute"))
        assert run == {"executionId": first, "status": "running"}
        await world.start(first)
        check_error(
            await http.patch(f"{_AT}/tasks/task-001", json={"model": "gpt-4-turbo"}),
            409,
            "CONFLICT",
        )
        view = _data(
            await http.patch(f"{_AT}/tasks/task-001", json={"metadata": {"category": None}})
        )
        assert (view["metadata"], view["status"]) == ({"priority": "urgent"}, "running")
        await world.finish(first, await world.upload(first, "result.json", _left("A stream")))
        view = _data(await http.get(f"{_AT}/tasks/task-001"))
        assert view["status"] == "completed"
        assert view["result"] == {
            "content": "A stream",
            "usage": {"promptTokens": 15, "completionTokens": 50, "totalTokens": 65},
            "finishReason": "length",
        }
        assert view["completedAt"] >= view["createdAt"]

        # What has ended is executed again, as it was changed since.
        view = _data(await http.patch(f"{_AT}/tasks/task-001", json={"model": "gpt-4-turbo"}))
        assert (view["status"], view["executions"]) == ("completed", 1)
        run = _data(await http.post(f"{_AT}/tasks/task-001/execute"))
        assert run == {"executionId": world.woken[2], "status": "running"}
        view = _data(await http.get(f"{_AT}/tasks/task-001"))
        assert (view["status"], view["model"], view["result"]) == ("pending", "gpt-4-turbo", None)

        # It is forgotten, and what waits is cancelled.
        gone = await http.delete(f"{_AT}/tasks/task-001")
        assert (gone.json()["success"], gone.json()["message"]) == (
            True,
            "Task deleted successfully",
        )
        assert (await world.state(world.woken[2])).phase is Phase.CANCELLED
        for answer in (
            await http.get(f"{_AT}/tasks/task-001"),
            await http.patch(f"{_AT}/tasks/task-001", json={}),
            await http.delete(f"{_AT}/tasks/task-001"),
            await http.post(f"{_AT}/tasks/task-001/execute"),
        ):
            check_error(answer, 404, "TASK_NOT_FOUND")
        # Its id is free again.
        _data(await http.post(f"{_AT}/tasks", json=_TASK), 201)


@on_asyncio
async def test_a_task_that_fails_says_why_and_one_without_an_id_gets_one(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        made = _data(
            await alice.http.post(f"{_AT}/tasks", json={"prompt": "a", "model": "talker"}), 201
        )
        assert made["id"] == world.woken[0]
        await world.start(made["id"])
        await world.finish(made["id"], outcome=Outcome.EXIT_NONZERO)
        view = _data(await alice.http.get(f"{_AT}/tasks/{made['id']}"))
        assert (view["status"], view["error"]["code"]) == ("failed", "EXIT_NONZERO")
        assert (view["result"], view["messages"], view["prompt"]) == (None, None, "a")


@on_asyncio
async def test_at_one_moment_an_id_gets_one_task_and_so_does_an_execution(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        own = {"id": "one", "prompt": "a", "model": "gpt-4"}
        made = await asyncio.gather(
            *(alice.http.post(f"{_AT}/tasks", json=own) for _ in range(3)),
        )
        assert sorted(each.status_code for each in made) == [201, 409, 409]
        keyed = {**own, "id": "two", "idempotencyKey": "k"}
        made = await asyncio.gather(
            *(alice.http.post(f"{_AT}/tasks", json=keyed) for _ in range(3))
        )
        assert sorted(each.status_code for each in made) == [200, 200, 201]
        assert len(world.woken) == 2
        await world.start(world.woken[0])
        await world.finish(world.woken[0], outcome=Outcome.EXIT_NONZERO)
        again = await asyncio.gather(
            *(alice.http.post(f"{_AT}/tasks/one/execute") for _ in range(3))
        )
        assert {each.status_code for each in again} <= {200, 409}
        assert len(world.woken) == 3


@pytest.mark.both_databases
@on_asyncio
async def test_batches_wait_for_execute_and_their_tasks_are_listed_with_the_others(
    tmp_path: Path,
) -> None:
    async with _world(tmp_path) as (world, alice):
        http = alice.http
        body = {
            "id": "batch-001",
            "name": "Creative Writing Tasks",
            "description": "A collection of creative writing tasks",
            "tasks": [
                {"id": "task-001", "prompt": "Write a haiku about programming"},
                {"id": "task-002", "prompt": "Write a short story about AI", "temperature": 0},
            ],
            "config": {"model": "gpt-4", "temperature": 0.7, "maxConcurrency": 5},
        }
        made = _data(await http.post(f"{_AT}/batches", json=body), 201)
        assert (made["id"], made["status"], made["taskCount"]) == ("batch-001", "pending", 2)
        check_error(await http.post(f"{_AT}/batches", json=body), 409, "CONFLICT")
        runner = world.batch_runner()
        await runner.look()
        assert not world.woken
        run = _data(await http.post(f"{_AT}/batches/batch-001/execute"))
        assert run["status"] == "running"
        await runner.look()
        first, second = world.woken
        await _completed(world, first, "A haiku")
        await world.start(second)
        await runner.look()
        view = _data(await http.get(f"{_AT}/batches/batch-001"))
        assert view["progress"] == {
            "total": 2,
            "completed": 1,
            "failed": 0,
            "pending": 0,
            "running": 1,
            "cancelled": 0,
        }
        assert [(each["id"], each["status"], each["result"]) for each in view["tasks"]] == [
            ("task-001", "completed", "A haiku"),
            ("task-002", "running", None),
        ]
        await world.finish(second, outcome=Outcome.EXIT_NONZERO)
        await runner.look()
        view = _data(await http.get(f"{_AT}/batches/batch-001?limit=1&page=2"))
        assert (view["status"], view["pagination"]["totalPages"]) == ("failed", 2)
        assert [each["error"]["code"] for each in view["tasks"]] == ["EXIT_NONZERO"]
        # Executed once more, what failed runs again.
        _data(await http.post(f"{_AT}/batches/batch-001/execute"))
        await runner.look()
        assert len(world.woken) == 3

        # A batch's task answers to its id, unless one of its owner's own has it; it is not changed alone.
        view = _data(await http.get(f"{_AT}/tasks/task-002"))
        assert (view["temperature"], view["model"], view["batchId"]) == (0, "gpt-4", "batch-001")
        for answer in (
            await http.patch(f"{_AT}/tasks/task-002", json={"prompt": "x"}),
            await http.delete(f"{_AT}/tasks/task-002"),
            await http.post(f"{_AT}/tasks/task-002/execute"),
        ):
            assert "as a whole" in check_error(answer, 409, "CONFLICT")
        own = {"id": "task-002", "prompt": "own", "model": "gpt-4", "batchId": "mine"}
        _data(await http.post(f"{_AT}/tasks", json=own), 201)
        assert _data(await http.get(f"{_AT}/tasks/task-002"))["prompt"] == "own"

        async def ids(query: str) -> list[str]:
            page = _data(await http.get(f"{_AT}/tasks?{query}"))
            assert page["pagination"]["total"] >= len(page["tasks"])
            return [f"{each['batchId']}/{each['id']}" for each in page["tasks"]]

        assert await ids("sort=createdAt&order=asc") == [
            "batch-001/task-001",
            "batch-001/task-002",
            "mine/task-002",
        ]
        assert await ids("") == ["mine/task-002", "batch-001/task-001", "batch-001/task-002"]
        assert await ids("batchId=batch-001&status=completed") == ["batch-001/task-001"]
        assert await ids("sort=id&order=asc&limit=1&page=2") == ["batch-001/task-002"]
        assert await ids("createdAfter=2099-01-01T00:00:00Z") == []
        assert len(await ids("createdBefore=2099-01-01T00:00:00Z&sort=status")) == 3
        assert await ids("sort=name&order=asc&limit=1") == ["batch-001/task-001"]
        page = _data(await http.get(f"{_AT}/tasks?limit=2"))["pagination"]
        assert page == {"page": 1, "limit": 2, "total": 3, "totalPages": 2}


@on_asyncio
async def test_a_batch_has_all_its_tasks_unless_a_page_is_asked_for(tmp_path: Path) -> None:
    async with _world(tmp_path) as (_, alice):
        http = alice.http
        count = 230
        body = {
            "id": "many",
            "name": 'with,"tasks":[] in it',
            "tasks": [{"id": f"t{number}", "prompt": "Sing"} for number in range(count)],
            "config": {"model": "gpt-4"},
        }
        _data(await http.post(f"{_AT}/batches", json=body), 201)
        view = _data(await http.get(f"{_AT}/batches/many"))
        assert view["name"] == body["name"]
        assert [each["id"] for each in view["tasks"]] == [f"t{number}" for number in range(count)]
        assert view["pagination"] == {"page": 1, "limit": count, "total": count, "totalPages": 1}
        page = _data(await http.get(f"{_AT}/batches/many?page=3"))
        assert [each["id"] for each in page["tasks"]] == [f"t{number}" for number in range(20, 30)]
        assert page["pagination"] == {"page": 3, "limit": 10, "total": count, "totalPages": 23}
        assert len(_data(await http.get(f"{_AT}/batches/many?limit=100"))["tasks"]) == 100
        check_error(await http.get(f"{_AT}/batches/many?limit=101"), 400, "VALIDATION_ERROR")


@on_asyncio
async def test_files_of_prompts_become_batches_now_and_by_cron(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        http = alice.http
        folder = world.uploads / alice.account.id / "path/to"
        folder.mkdir(parents=True)
        (folder / "tasks.csv").write_text(_CSV)
        config = {"model": "gpt-3.5-turbo", "maxConcurrency": 10}
        body = {"id": "csv", "name": "CSV", "inputFile": "/path/to/tasks.csv", "config": config}
        assert _data(await http.post(f"{_AT}/batches", json=body), 201)["taskCount"] == 2
        view = _data(await http.get(f"{_AT}/tasks/a"))
        shown = (view["prompt"], view["model"], view["temperature"], view["maxTokens"])
        assert shown == ("Write a haiku", "gpt-3.5-turbo", 0.5, 20)
        assert _data(await http.get(f"{_AT}/tasks/b"))["model"] == "gpt-4"

        schedule = {
            "name": "Daily Report Generator",
            "schedule": "0 9 * * *",
            "inputFile": "/path/to/tasks.csv",
            "outputFile": "/path/to/results.csv",
            "isDryRun": False,
            "config": {"model": "gpt-4", "temperature": 0.7, "maxRetries": 3},
        }
        made = _data(await http.post(f"{_AT}/scheduled-tasks", json=schedule), 201)
        assert (made["isActive"], made["schedule"]) == (True, "0 9 * * *")
        assert made["nextRun"].endswith("T09:00:00.000Z")
        patch = {"name": "Updated Task Name", "schedule": "0 12 * * *", "isActive": False}
        url = f"{_AT}/scheduled-tasks/{made['id']}"
        changed = _data(await http.patch(url, json=patch))
        assert (changed["name"], changed["isActive"], changed["nextRun"]) == (
            "Updated Task Name",
            False,
            None,
        )
        # Another file, and of its configuration what is named; each run then goes by them.
        (folder / "others.csv").write_text(_CSV)
        moved = {"inputFile": "/path/to/others.csv", "config": {"maxTokens": 99, "model": None}}
        refused = error_of(await http.patch(url, json=moved))
        assert "model" in refused.message, "a row of the file names none"
        moved["config"] = {"maxTokens": 99, "temperature": None, "maxConcurrency": 2}
        changed = _data(await http.patch(url, json=moved))
        assert (changed["inputFile"], changed["name"]) == (
            "path/to/others.csv",
            "Updated Task Name",
        )
        native = _data(await http.get(f"/api/v1/scheduled-tasks/{made['id']}"))["batch"]
        assert (native["max_concurrency"], native["retries"]) == (2, 3)
        assert native["defaults"] == {
            "kind": "model",
            "model": "gpt-4",
            "parameters": {"max_tokens": 99},
        }
        for wrong in ({"inputFile": "/no/such.csv"}, {"config": {"maxTokens": 1.5}}):
            check_error(await http.patch(url, json=wrong), 400, "VALIDATION_ERROR")
        _data(await http.patch(url, json={"inputFile": "/path/to/tasks.csv"}))
        enabled = await http.post(f"{url}/enable")
        assert enabled.json()["message"] == "Scheduled task enabled"
        assert _data(enabled)["isActive"] is True
        assert _data(await http.post(f"{url}/disable"))["isActive"] is False
        second = {**schedule, "name": "A second", "isActive": True, "isDryRun": True}
        _data(await http.post(f"{_AT}/scheduled-tasks", json=second), 201)

        async def names(query: str) -> list[str]:
            page = _data(await http.get(f"{_AT}/scheduled-tasks?{query}"))
            return [each["name"] for each in page["tasks"]]

        assert await names("") == ["A second", "Updated Task Name"]
        assert await names("sort=name&order=desc") == ["Updated Task Name", "A second"]
        assert await names("isActive=true") == ["A second"]
        assert await names("name=updated") == ["Updated Task Name"]
        assert await names("limit=1&page=2") == ["Updated Task Name"]

        bad = {**schedule, "schedule": "0 99 * * *"}
        check_error(
            await http.post(f"{_AT}/scheduled-tasks", json=bad), 400, "INVALID_CRON_EXPRESSION"
        )
        check_error(
            await http.patch(url, json={"schedule": "nonsense"}), 400, "INVALID_CRON_EXPRESSION"
        )
        missing = {**schedule, "inputFile": "/no/such.csv"}
        refused = error_of(await http.post(f"{_AT}/scheduled-tasks", json=missing))
        assert (refused.code, refused.details["field"]) == ("VALIDATION_ERROR", "inputFile")
        assert refused.message.startswith("inputFile: ")
        for answer in (
            await http.patch(f"{_AT}/scheduled-tasks/sched-001", json={}),
            await http.post(f"{_AT}/scheduled-tasks/sched-001/enable"),
            await http.post(f"{_AT}/scheduled-tasks/sched-001/disable"),
        ):
            check_error(answer, 404, "SCHEDULED_TASK_NOT_FOUND")
        # The document's list has no pages, unless one is asked for.
        for _ in range(11):
            _data(await http.post(f"{_AT}/scheduled-tasks", json=schedule), 201)
        every = _data(await http.get(f"{_AT}/scheduled-tasks"))
        assert len(every["tasks"]) == every["pagination"]["total"] == 13
        page = _data(await http.get(f"{_AT}/scheduled-tasks?page=2"))
        assert (len(page["tasks"]), page["pagination"]["totalPages"]) == (3, 2)


@on_asyncio
async def test_figures_and_how_the_coordinator_is(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        http = alice.http
        _data(await http.post(f"{_AT}/tasks", json=_TASK), 201)
        await _completed(world, world.woken[0], "A stream")
        _data(await http.post("/api/v1/tasks", json=TASK), 201)
        figures = _data(await http.get(f"{_AT}/metrics"))
        assert figures["tasks"]["total"] == 2
        assert figures["tasks"]["completed"] == figures["tasks"]["pending"] == 1
        assert figures["performance"]["successRate"] == 1
        assert set(figures["system"]) == {"cpuUsage", "memoryUsage", "activeConnections"}
        by_model = _data(await http.get(f"{_AT}/metrics/tasks?period=hour&model=gpt-4"))
        assert (by_model["completed"], by_model["model"]) == (1, "gpt-4")
        assert by_model["averageExecutionTime"] > 0
        failed = _data(await http.get(f"{_AT}/metrics/tasks?status=failed"))
        assert (failed["total"], failed["completed"]) == (0, 0)
        assert (failed["averageExecutionTime"], failed["totalCost"]) == (0, 0)
        done = _data(await http.get(f"{_AT}/metrics/tasks?status=completed"))
        assert (done["total"], done["averageExecutionTime"]) == (
            1,
            by_model["averageExecutionTime"],
        )
        for status, count in (("pending", 1), ("running", 0)):
            now = _data(await http.get(f"{_AT}/metrics/tasks?status={status}"))
            assert (now["status"], now["total"], now["completed"]) == (status, count, 0)
        of_model = _data(await http.get(f"{_AT}/metrics/tasks?status=pending&model=gpt-4"))
        assert of_model["total"] == 0
        check_error(await http.get(f"{_AT}/metrics/tasks?model=x"), 400, "MODEL_NOT_SUPPORTED")
        check_error(await http.get(f"{_AT}/metrics/tasks?period=year"), 400, "VALIDATION_ERROR")

        stranger = world.client()
        status = _data(await stranger.get(f"{_AT}/status"))
        assert status["status"] == "healthy"
        assert {"database", "openai"} <= status["services"].keys()
        database = _data(await stranger.get(f"{_AT}/status/services/database"))
        assert database["details"].keys() >= {"connectionCount", "queryTime", "lastError"}
        check_error(await stranger.get(f"{_AT}/status/services/redis"), 404, "NOT_FOUND")


@on_asyncio
async def test_what_is_another_tenants_is_not_there(tmp_path: Path) -> None:
    async with _world(tmp_path) as (world, alice):
        bob = await world.customer("bob")
        _data(await alice.http.post(f"{_AT}/tasks", json=_TASK), 201)
        batch = {"id": "b", "tasks": [{"id": "of-b", "prompt": "a"}], "config": {"model": "gpt-4"}}
        _data(await alice.http.post(f"{_AT}/batches", json=batch), 201)
        for answer, code in (
            (await bob.http.get(f"{_AT}/tasks/task-001"), "TASK_NOT_FOUND"),
            (await bob.http.get(f"{_AT}/tasks/of-b"), "TASK_NOT_FOUND"),
            (await bob.http.patch(f"{_AT}/tasks/task-001", json={}), "TASK_NOT_FOUND"),
            (await bob.http.delete(f"{_AT}/tasks/task-001"), "TASK_NOT_FOUND"),
            (await bob.http.post(f"{_AT}/tasks/of-b/execute"), "TASK_NOT_FOUND"),
            (await bob.http.get(f"{_AT}/batches/b"), "BATCH_NOT_FOUND"),
            (await bob.http.post(f"{_AT}/batches/b/execute"), "BATCH_NOT_FOUND"),
        ):
            check_error(answer, 404, code)
        assert _data(await bob.http.get(f"{_AT}/tasks"))["tasks"] == []
        # Ids and keys are each account's own.
        _data(await bob.http.post(f"{_AT}/tasks", json=_TASK), 201)
        check_error(await world.client().get(f"{_AT}/tasks"), 401, "UNAUTHORIZED")


@on_asyncio
async def test_bad_requests_say_what_is_wrong(tmp_path: Path) -> None:
    async with _world(tmp_path) as (_, alice):
        bad: list[tuple[str, bytes | dict[str, Any], str]] = [
            ("tasks", b"{", "not valid JSON"),
            ("tasks", {}, "model: is missing"),
            ("tasks", {"model": "gpt-4"}, "needs a prompt or messages"),
            ("tasks", {**_TASK, "prompt": "another"}, "none of the messages"),
            ("tasks", {**_TASK, "temperature": 3}, "temperature"),
            ("tasks", {**_TASK, "maxTokens": 0}, "maxTokens"),
            ("tasks", {**_TASK, "id": "a/b"}, "no slash"),
            ("tasks", {**_TASK, "metadata": {"a": "b" * 20_000}}, "metadata"),
            ("tasks", {**_TASK, "when": 1}, "when: is not a field"),
            ("batches", {"id": "b"}, "one of tasks and inputFile"),
            ("batches", {"tasks": [{"id": "a"}]}, "tasks[0].prompt"),
            ("batches", {"tasks": [{"prompt": "a"}]}, "tasks[0].model: is missing"),
            ("batches", {"inputFile": "/../secret"}, "inputFile"),
            ("scheduled-tasks", {"name": "a", "schedule": "* * * * *"}, "inputFile: is missing"),
        ]
        for path, body, words in bad:
            sent = body if isinstance(body, bytes) else json.dumps(body).encode()
            answer = await alice.http.post(f"{_AT}/{path}", content=sent)
            assert words in check_error(answer, 400, "VALIDATION_ERROR"), answer.text
        for query in ("status=lost", "limit=101", "page=0", "sort=prompt", "createdAfter=then"):
            check_error(await alice.http.get(f"{_AT}/tasks?{query}"), 400, "VALIDATION_ERROR")
        answer = await alice.http.post(f"{_AT}/tasks", json={**_TASK, "model": "gpt-5"})
        assert "talker" in check_error(answer, 400, "MODEL_NOT_SUPPORTED")
        assert error_of(answer).details["code"] == "MODEL_UNAVAILABLE"
        check_error(await alice.http.get(f"{_AT}/nothing"), 404, "NOT_FOUND")
        check_error(await alice.http.put(f"{_AT}/tasks", json={}), 405, "METHOD_NOT_ALLOWED")


@on_asyncio
async def test_what_money_nodes_and_our_own_bugs_do_not_allow(tmp_path: Path) -> None:
    async with _world(tmp_path, requests=RequestRules(tiers={"free": 6}, default_tier="free")) as (
        world,
        alice,
    ):
        world.market.bug = ZeroDivisionError("swordfish")
        answer = await alice.http.post(f"{_AT}/tasks", json={**_TASK, "id": "x"})
        check_error(answer, 500, "INTERNAL")
        assert "swordfish" not in answer.text
        world.market.bug = None
        poor = await world.customer("poor", deposit=1)
        answer = await poor.http.post(f"{_AT}/tasks", json=_TASK)
        check_error(answer, 429, "QUOTA_EXCEEDED")
        assert error_of(answer).details["code"] == "INSUFFICIENT_CREDITS"
        answer = await alice.http.post(f"{_AT}/tasks", json={**_TASK, "model": "huge"})
        check_error(answer, 503, "SERVICE_UNAVAILABLE")
        answers = [await alice.http.get(f"{_AT}/tasks") for _ in range(5)]
        check_error(answers[-1], 429, "QUOTA_EXCEEDED")
        assert answers[-1].headers["x-ratelimit-limit"] == "6"
        assert int(answers[-1].headers["retry-after"]) >= 1
