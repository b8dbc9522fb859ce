import asyncio
import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import TASK, USDC, Customer, World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.batches.batch_runner import BatchRunner
from neurogrid_coordinator.store import events
from neurogrid_coordinator.store.database import Database
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.task import Phase

BATCHES = "/api/v1/batches"
# 1 USDC an hour for an hour.
JOB = TASK | {"max_price_per_hour": "1.00"}


async def send(customer: Customer, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await customer.http.post(BATCHES, json=body, headers=headers)


async def made(customer: Customer, body: dict[str, Any]) -> dict[str, Any]:
    answer = await send(customer, body)
    assert answer.status_code == 201, answer.text
    batch = answer.json()["data"]
    assert isinstance(batch, dict)
    return batch


async def show(customer: Customer, batch_id: str) -> dict[str, Any]:
    answer = await customer.http.get(f"{BATCHES}/{batch_id}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]
    assert isinstance(shown, dict)
    return shown


async def tasks_of(customer: Customer, batch_id: str, query: str = "") -> list[dict[str, Any]]:
    answer = await customer.http.get(f"{BATCHES}/{batch_id}/tasks{query}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]["tasks"]
    assert isinstance(shown, list)
    return shown


async def upload(customer: Customer, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    digest = hashlib.sha256(data).hexdigest()
    answer = await customer.http.put(f"/api/v1/artifacts/{digest}", content=data)
    assert answer.is_success, answer.text
    return digest


async def run_out(world: World, runner: BatchRunner, customer: Customer, batch_id: str) -> int:
    """Run all of a batch's tasks to their end; how many were in the market at a time at most."""
    most = 0
    for _ in range(100):
        await runner.look()
        shown = await show(customer, batch_id)
        if shown["completed_at"]:
            return most
        waiting = [task for task in await tasks_of(customer, batch_id) if task["phase"] == "queued"]
        most = max(most, len(waiting))
        for task in waiting:
            await world.start(task["task_id"])
            await world.finish(task["task_id"])
    raise AssertionError("the batch does not end")


async def kinds(database: Database, batch_id: str) -> list[str]:
    stored = await database.read(lambda conn: events.after(conn, 0, task_id=batch_id))
    return [event.kind for event in stored]


@on_asyncio
async def test_a_batch_runs_a_few_tasks_at_a_time_to_its_end(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {
            "id": "mine",
            "name": "Seven",
            "defaults": JOB | {"env": {"A": "1", "B": "2"}},
            "tasks": [{"id": f"t{n}", "env": {"B": str(n)}} for n in range(7)],
            "max_concurrency": 3,
        }
        answer = await send(alice, body)
        assert answer.status_code == 201, answer.text
        batch = answer.json()["data"]
        assert answer.headers["location"] == f"{BATCHES}/{batch['id']}"
        assert batch["status"] == "running"
        assert batch["progress"] == {
            "total": 7,
            "completed": 0,
            "failed": 0,
            "cancelled": 0,
            "pending": 7,
            "running": 0,
        }
        assert batch["most_usdc"] == "7.00"
        assert world.woken == []
        runner = world.batch_runner()
        await runner.look()
        assert len(world.woken) == 3
        # A second look, or a second coordinator, releases nothing more.
        await asyncio.gather(runner.look(), world.batch_runner().look())
        assert len(world.woken) == 3
        first = (await tasks_of(alice, "mine"))[0]
        task = (await alice.http.get(f"/api/v1/tasks/{first['task_id']}")).json()["data"]
        assert task["env"] == {"A": "1", "B": "0"}
        assert await run_out(world, runner, alice, "mine") == 3
        done = await show(alice, "mine")
        assert done["status"] == "completed"
        assert done["progress"]["completed"] == done["progress"]["total"] == 7
        assert done["cost_usdc"] == "0.007"
        assert await kinds(world.database, batch["id"]) == [
            "batch.created",
            "batch.started",
            "batch.completed",
        ]
        lines = (await alice.http.get(f"{BATCHES}/mine/results")).text
        rows = list(csv.DictReader(io.StringIO(lines)))
        assert [row["id"] for row in rows] == [f"t{n}" for n in range(7)]
        assert {row["status"] for row in rows} == {"completed"}
        lines = (await alice.http.get(f"{BATCHES}/mine/results?format=jsonl")).text
        assert [json.loads(line)["exit_code"] for line in lines.splitlines()] == [0] * 7


@on_asyncio
async def test_a_batch_waits_until_it_is_started(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch = await made(alice, {"tasks": [JOB], "execute": False})
        assert batch["status"] == "pending"
        runner = world.batch_runner()
        await runner.look()
        assert world.woken == []
        for _ in range(2):
            answer = await alice.http.post(f"{BATCHES}/{batch['id']}/execute")
            assert answer.json()["data"]["status"] == "running"
        assert (await kinds(world.database, batch["id"])).count("batch.started") == 1
        await run_out(world, runner, alice, batch["id"])
        again = await alice.http.post(f"{BATCHES}/{batch['id']}/execute")
        assert again.json()["error"]["code"] == "CONFLICT"


@on_asyncio
async def test_what_fails_is_tried_again_by_itself_and_by_hand(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch = await made(alice, {"tasks": [JOB], "retries": 1})
        runner = world.batch_runner()
        for attempt in (1, 2):
            await runner.look()
            (task,) = await tasks_of(alice, batch["id"])
            assert task["attempts"] == attempt
            await world.start(task["task_id"])
            await world.finish(task["task_id"], outcome=Outcome.EXIT_NONZERO)
            await runner.look()
        failed = await show(alice, batch["id"])
        assert failed["status"] == "failed"
        (task,) = await tasks_of(alice, batch["id"], "?status=failed")
        assert task["error"]["code"] == "EXIT_NONZERO"
        # Both attempts were paid for.
        assert failed["cost_usdc"] == task["cost_usdc"] == "0.002"
        again = await alice.http.post(f"{BATCHES}/{batch['id']}/retry", json={})
        assert again.status_code == 200, again.text
        assert again.json()["data"]["status"] == "running"
        await run_out(world, runner, alice, batch["id"])
        done = await show(alice, batch["id"])
        assert (done["status"], done["cost_usdc"]) == ("completed", "0.003")
        nothing = await alice.http.post(f"{BATCHES}/{batch['id']}/retry", json={})
        assert nothing.json()["error"]["code"] == "CONFLICT"


@on_asyncio
async def test_a_cancelled_batch_begins_nothing_and_ends_what_runs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch = await made(alice, {"defaults": JOB, "tasks": [{}] * 5, "max_concurrency": 2})
        runner = world.batch_runner()
        await runner.look()
        answer = await alice.http.post(f"{BATCHES}/{batch['id']}/cancel")
        shown = answer.json()["data"]
        assert (shown["status"], shown["cancelling"]) == ("running", True)
        assert shown["progress"]["cancelled"] == 3
        # Whoever looks next cancels them, this process or the one after a kill.
        for _ in range(3):
            await world.batch_runner().look()
        shown = await show(alice, batch["id"])
        assert (shown["status"], shown["progress"]["cancelled"]) == ("cancelled", 5)
        assert len(world.woken) == 2
        assert (await kinds(world.database, batch["id"]))[-1] == "batch.cancelled"


@on_asyncio
async def test_without_money_a_batch_waits_and_says_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=USDC // 2)
        batch = await made(alice, {"tasks": [JOB]})
        await world.batch_runner().look()
        shown = await show(alice, batch["id"])
        assert shown["status"] == "running"
        assert "0.50 USDC are available" in shown["waits_for"]
        assert world.woken == []
        wallet = alice.account.wallet
        other = await world.customer("bob")
        world.chain.funds_of[wallet] = world.chain.funds_of[other.account.wallet]
        await world.batch_runner().look()
        assert len(world.woken) == 1
        assert (await show(alice, batch["id"]))["waits_for"] is None


@on_asyncio
async def test_a_budget_stops_the_batch(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {"defaults": JOB, "tasks": [{}] * 4, "max_cost": "1.002"}
        batch = await made(alice, body)
        runner = world.batch_runner()
        # Each may cost 1.00 and costs 0.001: one after the other, until a whole one does not fit.
        assert await run_out(world, runner, alice, batch["id"]) == 1
        shown = await show(alice, batch["id"])
        assert shown["status"] == "failed"
        assert (shown["progress"]["completed"], shown["progress"]["failed"]) == (3, 1)
        (left,) = await tasks_of(alice, batch["id"], "?status=failed")
        assert left["error"]["code"] == "BUDGET_EXHAUSTED"
        again = await alice.http.post(f"{BATCHES}/{batch['id']}/retry", json={"max_cost": "3.00"})
        assert again.json()["data"]["max_cost"] == "3.00"
        await run_out(world, runner, alice, batch["id"])
        assert (await show(alice, batch["id"]))["status"] == "completed"


@on_asyncio
async def test_a_deleted_batch_takes_its_tasks_along_once_they_are_settled(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        batch = await made(alice, {"id": "mine", "tasks": [JOB]})
        runner = world.batch_runner()
        await run_out(world, runner, alice, "mine")
        (task,) = await tasks_of(alice, "mine")
        answer = await alice.http.delete(f"{BATCHES}/mine")
        assert answer.json()["data"]["result"] == "deleted"
        gone = await alice.http.get(f"{BATCHES}/{batch['id']}")
        assert gone.json()["error"]["code"] == "BATCH_NOT_FOUND"
        await runner.look()
        there = await alice.http.get(f"/api/v1/tasks/{task['task_id']}")
        assert there.status_code == 200, "its payment is under way"
        await world.pay(task["task_id"])
        await world.batch_runner().look()
        assert (await alice.http.get(f"/api/v1/tasks/{task['task_id']}")).status_code == 404
        # Its own id is free again.
        assert (await made(alice, {"id": "mine", "tasks": [JOB]}))["id"] != batch["id"]


@on_asyncio
async def test_the_same_key_is_the_same_batch(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {"tasks": [JOB]}
        key = {"Idempotency-Key": "k"}
        both = await asyncio.gather(
            *(alice.http.post(BATCHES, json=body, headers=key) for _ in "12")
        )
        assert sorted(answer.status_code for answer in both) == [200, 201]
        assert len({answer.json()["data"]["id"] for answer in both}) == 1
        other = await alice.http.post(BATCHES, json={"tasks": [JOB, JOB]}, headers=key)
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
        taken = {"id": "mine", "tasks": [JOB]}
        await made(alice, taken)
        assert (await send(alice, taken)).json()["error"]["code"] == "CONFLICT"
        assert len((await alice.http.get(BATCHES)).json()["data"]["batches"]) == 2
        # What was loaded in vain is cleared away.
        await world.batch_runner().look()
        mallory = await world.customer("mallory")
        assert (await mallory.http.get(f"{BATCHES}/mine")).status_code == 404


@on_asyncio
async def test_a_batch_comes_from_csv_of_an_artifact_or_of_the_accounts_folder(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        table = (
            "\ufeffid,command,env.WORD,resource_requirements.cpu_cores,priority\r\n"
            'a,python -c "print(1)",one,1,high\r\n'
            '"b","[""python"", ""x y""]","two, or\n""more""",0.5,7\r\n'
            "\r\n"
            "c,,,,\r\n"
        )
        defaults = {key: JOB[key] for key in ("docker_image", "max_price_per_hour")}
        folder = world.uploads / alice.account.id / "jobs"
        folder.mkdir(parents=True)
        (folder / "tasks.csv").write_text(table, newline="")
        digest = await upload(alice, table)
        for source in ({"csv": {"sha256": digest}}, {"input_file": "/jobs/tasks.csv"}):
            batch = await made(alice, {"defaults": defaults, **source})
            await world.batch_runner().look()
            shown = await tasks_of(alice, batch["id"])
            assert [task["id"] for task in shown] == ["a", "b", "c"]
            of = {}
            for task in shown:
                answer = await alice.http.get(f"/api/v1/tasks/{task['task_id']}")
                of[task["id"]] = answer.json()["data"]
            assert of["a"]["command"] == ["python", "-c", "print(1)"]
            assert of["b"]["command"] == ["python", "x y"]
            assert of["b"]["env"] == {"WORD": 'two, or\n"more"'}
            assert of["b"]["resource_requirements"]["cpu_cores"] == 0.5
            assert (of["a"]["priority"], of["b"]["priority"]) == ("high", 7)
            assert of["c"]["command"] == []
        # Nobody else's folder, and nobody else's artifact.
        theirs = {"defaults": defaults, "input_file": "jobs/tasks.csv"}
        assert (await send(mallory, theirs)).status_code == 422
        theirs = {"defaults": defaults, "csv": {"sha256": digest}}
        assert (await send(mallory, theirs)).json()["error"]["code"] == "NOT_FOUND"


@on_asyncio
async def test_paths_out_of_the_folder_lead_nowhere(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        folder = world.uploads / alice.account.id
        folder.mkdir()
        (tmp_path / "secret.csv").write_text("name\nsecret\n")
        (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
        (folder / "up").symlink_to(tmp_path)
        (folder / "folder.csv").mkdir()
        (folder / ".hidden.csv").write_text("name\na\n")
        os.mkfifo(folder / "pipe.csv")
        with (folder / "huge.csv").open("wb") as huge:
            huge.truncate(65 * 1024 * 1024)
        for path in (
            "../secret.csv",
            "a/../../secret.csv",
            "link.csv",
            "up/secret.csv",
            "folder.csv",
            "pipe.csv",
            ".hidden.csv",
            "missing.csv",
            "/etc/passwd",
            "huge.csv",
            "a\x00b",
            ".",
            "/",
        ):
            answer = await send(alice, {"defaults": JOB, "input_file": path})
            assert answer.status_code == 422, path
            error = answer.json()["error"]
            assert error["details"]["field"] == "input_file"
            assert str(tmp_path) not in error["message"]
        await world.batch_runner().look()
        assert (await alice.http.get(BATCHES)).json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("table", "wanted"),
    [
        ("", "line 1: the header names"),
        ("name\n", "no rows"),
        ("nothing\n1\n", "line 1: 'nothing' is no field of a task. Name a column env.NAME"),
        ("name,name\na,b\n", "two columns 'name'"),
        ("name\na,b\n", "line 2: 2 cells"),
        ("name,timeout_seconds\na,ten\n", "line 2, timeout_seconds: 'ten' is not JSON"),
        ("timeout_seconds\n0\n", "line 2: timeout_seconds: expected `int` >= 1"),
        ("id\na\na\n", "line 3: id: 'a' is the id of two tasks"),
        ('command\n"say ""hello"\n', "line 2, command: No closing quotation"),
        ("env,env.A\n{},b\n", ""),
        ("env,env.A\n1,b\n", "has env and env.A"),
        (b"name\n\xff\n", "this is not UTF-8; save the file as CSV UTF-8"),
        (b"id;name\na;b\n", "semicolons between the columns; separate them by commas"),
        (b"id\tname\na\tb\n", "tabs between the columns"),
        ('name\n"a\n', "unexpected end of data"),
        ("max_price_per_hour\n-1\n", "max_price_per_hour"),
    ],
)
@on_asyncio
async def test_what_is_wrong_in_csv_is_named_by_its_line(
    tmp_path: Path, table: str | bytes, wanted: str
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        digest = await upload(alice, table)
        answer = await send(alice, {"defaults": JOB, "csv": {"sha256": digest}})
        if not wanted:
            assert answer.status_code == 201, answer.text
            return
        assert answer.status_code == 422, answer.text
        assert wanted in answer.json()["error"]["message"]
        assert (await alice.http.get(BATCHES)).json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tasks": []}, "tasks"),
        ({}, "tasks"),
        ({"tasks": [JOB], "input_file": "a"}, "tasks"),
        ({"tasks": [JOB, {"name": "no image"}]}, "tasks[1].docker_image"),
        ({"tasks": [JOB | {"colour": 1}]}, "tasks[0].colour"),
        ({"tasks": [JOB], "defaults": {"colour": 1}}, "defaults.colour"),
        ({"tasks": [JOB | {"id": ""}]}, "tasks[0].id"),
        ({"tasks": [JOB | {"id": 7}]}, "tasks[0].id"),
        ({"tasks": [JOB | {"id": "a\nb"}]}, "tasks[0].id"),
        ({"tasks": [JOB | {"id": "a"}, JOB | {"id": "a"}]}, "tasks[1].id"),
        ({"tasks": [JOB], "max_concurrency": 0}, "max_concurrency"),
        ({"tasks": [JOB], "max_cost": "-1"}, "max_cost"),
        ({"tasks": [JOB], "id": "a\nb"}, "id"),
        (
            {"tasks": [JOB | {"inputs": [{"path": "a", "sha256": "0" * 63 + "1"}]}]},
            "tasks[0].inputs[0].sha256",
        ),
        (
            {"tasks": [JOB | {"inputs": [{"path": "a", "url": "https://example.org/a"}]}]},
            "tasks[0].inputs[0].url",
        ),
    ],
)
@on_asyncio
async def test_what_is_wrong_is_named_and_nothing_is_stored(
    tmp_path: Path, body: dict[str, Any], field: str
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await send(alice, body)
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["details"]["field"] == field
        assert (await alice.http.get(BATCHES)).json()["data"]["total"] == 0


@on_asyncio
async def test_an_input_that_has_gone_fails_its_task_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        other = (await alice.http.post("/api/v1/tasks", json=JOB)).json()["data"]["id"]
        waits = JOB | {"depends_on": [other]}
        batch = await made(alice, {"tasks": [waits, JOB], "execute": False})
        await alice.http.delete(f"/api/v1/tasks/{other}")
        await alice.http.post(f"{BATCHES}/{batch['id']}/execute")
        runner = world.batch_runner()
        await run_out(world, runner, alice, batch["id"])
        shown = await tasks_of(alice, batch["id"])
        assert [task["status"] for task in shown] == ["failed", "completed"]
        assert shown[0]["error"]["code"] == "DEPENDENCY_UNMET"
        assert shown[0]["task_id"] is None


@on_asyncio
async def test_ten_thousand_tasks_let_others_be_answered(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        body = {"defaults": JOB, "tasks": [{"env": {"N": str(n)}} for n in range(10_000)]}
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(send(alice, body))
        longest_s = 0.0
        answered = 0
        while not sending.done():
            begun_s = loop.time()
            assert (await bob.http.get("/api/v1/account")).status_code == 200
            longest_s = max(longest_s, loop.time() - begun_s)
            answered += 1
            # Nothing that such a request does waits for anything; a server reads from a socket between two.
            await asyncio.sleep(0)
        assert sending.result().status_code == 201, sending.result().text
        assert answered > 50
        # Measured: a few hundredths; whole seconds on a machine that has other things to do are no block either.
        assert longest_s < 2
        await world.batch_runner().look()
        assert len(world.woken) == 16
        task = await bob.http.post("/api/v1/tasks", json=JOB)
        assert task.json()["data"]["phase"] == Phase.QUEUED
