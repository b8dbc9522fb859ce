import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import OPERATION, TASK, USDC, Customer, World, open_world
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.services import intake
from neurogrid_coordinator.store import task_lists, tasks
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.needs import MAX_DEPTH
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import CancelRequested

WORKFLOWS = "/api/v1/workflows"
# 1 USDC an hour for an hour.
JOB = TASK | {"max_price_per_hour": "1.00"}
TRAIN_AND_TEST: dict[str, Any] = {
    "name": "Train and test",
    "tasks": {
        # Not in the order in which they can run.
        "test": JOB | {"inputs": [{"path": "m", "from_task": "train", "output": "model.bin"}]},
        "train": JOB | {"command": ["train"]},
        "report": JOB | {"depends_on": ["train", "test"]},
    },
}


async def submit(customer: Customer, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await customer.http.post(WORKFLOWS, json=body, headers=headers)


async def show(customer: Customer, workflow_id: str) -> dict[str, Any]:
    answer = await customer.http.get(f"{WORKFLOWS}/{workflow_id}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]
    assert isinstance(shown, dict)
    return shown


def ids(workflow: dict[str, Any]) -> dict[str, str]:
    return {task["key"]: task["id"] for task in workflow["tasks"]}


async def run(world: World, task_id: str, files: dict[str, bytes]) -> None:
    """A task from the queue to completed, leaving these files."""
    await world.start(task_id)
    outputs = [await world.upload(task_id, path, data) for path, data in files.items()]
    await world.finish(task_id, *outputs)


@on_asyncio
async def test_a_workflow_is_stored_whole_and_runs_in_the_order_of_its_needs(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await submit(alice, TRAIN_AND_TEST)
        assert answer.status_code == 201, answer.text
        workflow = answer.json()["data"]
        assert answer.headers["location"] == f"{WORKFLOWS}/{workflow['id']}"
        assert [task["key"] for task in workflow["tasks"]] == ["train", "test", "report"]
        assert [task["phase"] for task in workflow["tasks"]] == ["queued", "waiting", "waiting"]
        assert workflow["status"] == "pending"
        assert workflow["counts"] == {"pending": 3}
        of = ids(workflow)
        assert world.woken == list(of.values())
        # All of it is held: what has begun can be paid to its end.
        account = (await alice.http.get("/api/v1/account")).json()["data"]
        assert account["balance"]["held"] == "3.00"

        test = (await alice.http.get(f"/api/v1/tasks/{of['test']}")).json()["data"]
        assert test["explanation"] == f"Waits for {of['train']}."
        assert test["depends_on"] == [of["train"]]
        assert test["workflow_id"] == workflow["id"]
        waited = {"path": "m", "from_task": of["train"], "output": "model.bin"}
        assert test["inputs"] == [waited | {"sha256": None, "size": None}]

        await run(world, of["train"], {"model.bin": b"weights", "log": b""})
        test = (await alice.http.get(f"/api/v1/tasks/{of['test']}")).json()["data"]
        assert test["phase"] == "queued"
        (given,) = test["inputs"]
        outputs = (await alice.http.get(f"/api/v1/tasks/{of['train']}/outputs")).json()["data"]
        model = next(item for item in outputs["outputs"] if item["path"] == "model.bin")
        assert given == waited | {"sha256": model["sha256"], "size": 7}
        assert (await show(alice, workflow["id"]))["status"] == "running"
        state = await world.state(of["test"])
        job = await world.database.read(tasks.job_of, of["test"])
        assert state.demand.job_hash == job.hash()
        assert state.demand.input_bytes == 7

        # Its node reads the file under the token of its own lease.
        await world.start(of["test"])
        lease = (await world.state(of["test"])).lease
        assert lease is not None
        node = world.client(world.tokens.token(lease.lease_id))
        assert (await node.get(f"/api/v1/artifacts/{model['sha256']}")).content == b"weights"
        await world.finish(of["test"])
        await run(world, of["report"], {})
        done = await show(alice, workflow["id"])
        assert done["status"] == "completed"
        assert done["completed_at"] is not None
        assert done["cost_usdc"] == "0.003"
        events = [entry["event"] for entry in (await timeline(alice, of["test"]))]
        assert events[:2] == ["task.created", "task.queued"]


async def timeline(customer: Customer, task_id: str) -> list[dict[str, Any]]:
    shown = (await customer.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]["timeline"]
    assert isinstance(shown, list)
    return shown


@on_asyncio
async def test_a_failure_reaches_everything_behind_it_and_nothing_else(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = TRAIN_AND_TEST | {"tasks": TRAIN_AND_TEST["tasks"] | {"other": JOB}}
        workflow = (await submit(alice, body)).json()["data"]
        of = ids(workflow)
        await world.start(of["train"])
        await world.finish(of["train"], outcome=Outcome.EXIT_NONZERO)
        shown = await show(alice, workflow["id"])
        errors = {task["key"]: task["error"] for task in shown["tasks"]}
        assert errors["test"]["code"] == errors["report"]["code"] == "DEPENDENCY_FAILED"
        assert (
            f"depends on {of['train']}, which has failed (EXIT_NONZERO)"
            in (errors["test"]["message"])
        )
        assert "submit both again" in errors["test"]["advice"]
        assert errors["other"] is None
        assert shown["status"] == "running"
        account = (await alice.http.get("/api/v1/account")).json()["data"]
        assert account["balance"]["held"] == "1.00"
        await run(world, of["other"], {})
        assert (await show(alice, workflow["id"]))["status"] == "failed"


@on_asyncio
async def test_a_missing_output_ends_its_reader(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        workflow = (await submit(alice, TRAIN_AND_TEST)).json()["data"]
        of = ids(workflow)
        await run(world, of["train"], {"other.bin": b"1"})
        errors = {
            task["key"]: task["error"] for task in (await show(alice, workflow["id"]))["tasks"]
        }
        assert errors["test"]["code"] == "OUTPUT_MISSING"
        assert (
            "left no 'model.bin' under /outputs: it left 'other.bin'" in (errors["test"]["message"])
        )
        assert errors["report"]["code"] == "DEPENDENCY_FAILED"


@on_asyncio
async def test_a_workflow_is_cancelled_in_one_step_and_deleted_when_it_is_settled(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        workflow = (await submit(alice, TRAIN_AND_TEST)).json()["data"]
        of = ids(workflow)
        await world.start(of["train"])
        path = f"{WORKFLOWS}/{workflow['id']}"
        answer = (await alice.http.delete(path)).json()["data"]
        assert answer == {"id": workflow["id"], "result": "cancelling", "status": "running"}
        shown = await show(alice, workflow["id"])
        # What waited was cancelled, not failed by what it waited for.
        assert [task["status"] for task in shown["tasks"]] == ["running", "cancelled", "cancelled"]
        await world.finish(of["train"], outcome=Outcome.CANCELLED)
        assert (await show(alice, workflow["id"]))["status"] == "cancelled"
        unsettled = await alice.http.delete(path)
        assert unsettled.status_code == 409
        assert of["train"] in unsettled.json()["error"]["message"]
        await world.pay(of["train"])
        assert (await alice.http.delete(path)).json()["data"]["result"] == "deleted"
        assert (await alice.http.get(path)).status_code == 404
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0


@on_asyncio
async def test_the_same_key_is_the_same_workflow(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        key = {"Idempotency-Key": "one"}
        answers = await asyncio.gather(*(submit(alice, TRAIN_AND_TEST, **key) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 200, 201]
        assert len({answer.json()["data"]["id"] for answer in answers}) == 1
        assert len(world.woken) == 3
        other = await submit(alice, {"tasks": {"train": JOB}}, **key)
        assert other.status_code == 409
        assert other.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"
        listed = (await alice.http.get(WORKFLOWS)).json()["data"]
        assert (listed["total"], len(listed["workflows"])) == (1, 1)
        assert "tasks" not in listed["workflows"][0]
        mine = f"/api/v1/tasks?workflow_id={answers[0].json()['data']['id']}"
        assert (await alice.http.get(mine)).json()["data"]["total"] == 3
        assert (await alice.http.get("/api/v1/tasks?workflow_id=flow_x")).json()["data"][
            "total"
        ] == 0


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"tasks": {}}, "tasks", "length"),
    ({"tasks": {"under_score": JOB}}, "tasks", "letters, digits and hyphens"),
    ({"tasks": {"a": JOB | {"depends_on": ["b"]}}}, "tasks.a.depends_on", "no task b"),
    (
        {"tasks": {"a": JOB | {"depends_on": ["b"]}, "b": JOB | {"depends_on": ["a"]}}},
        "tasks.a.depends_on",
        "a waits for b waits for a",
    ),
    ({"tasks": {"a": JOB | {"depends_on": ["a"]}}}, "tasks.a.depends_on", "a waits for a"),
    (
        {"tasks": {"a": JOB | {"inputs": [{"path": "x"}]}}},
        "tasks.a.inputs[0]",
        "one of sha256, url and from_task",
    ),
    (
        {"tasks": {"a": JOB | {"inputs": [{"path": "x", "sha256": "0" * 64, "output": "y"}]}}},
        "tasks.a.inputs[0].output",
        "from_task only",
    ),
    (
        {"tasks": {"a": JOB | {"inputs": [{"path": "x", "sha256": "0" * 64}]}}},
        "tasks.a.inputs[0].sha256",
        "upload it first",
    ),
    (
        {
            "tasks": {
                "b": JOB,
                "a": JOB
                | {
                    "inputs": [
                        {"path": "x", "from_task": "b"},
                        {"path": "x", "from_task": "b", "output": "y"},
                    ]
                },
            }
        },
        "",
        "the same path",
    ),
    ({"tasks": {"a": JOB | {"timeout_seconds": 8 * 86_400}}}, "tasks.a.timeout_seconds", "at most"),
    ({"tasks": {"a": JOB | {"timeout_seconds": 0}}}, "tasks.a.timeout_seconds", ">= 1"),
    ({"tasks": {"a": JOB | {"depends_on": ["a b"]}}}, "tasks.a.depends_on[0]", "a task's id"),
]


@pytest.mark.parametrize(("body", "field", "words"), BAD)
def test_a_wrong_workflow_is_refused_whole(
    tmp_path: Path, body: dict[str, Any], field: str, words: str
) -> None:
    async def check() -> None:
        async with open_world(tmp_path) as world:
            alice = await world.customer("alice")
            answer = await submit(alice, body)
            error = answer.json()["error"]
            assert answer.status_code == 422, error
            assert words in error["message"]
            assert error["details"].get("field", "") == field
            assert await world.database.read(task_lists.count, task_lists.TaskFilter()) == 0

    asyncio.run(check())


@on_asyncio
async def test_money_for_a_part_is_no_money(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=2 * USDC)
        answer = await submit(alice, TRAIN_AND_TEST)
        assert answer.status_code == 402
        assert answer.json()["error"]["details"]["needed"] == "3.00"
        assert await world.database.read(task_lists.count, task_lists.TaskFilter()) == 0


@on_asyncio
async def test_a_single_task_waits_for_others_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        first = (await alice.http.post("/api/v1/tasks", json=JOB)).json()["data"]["id"]
        wanted = JOB | {"depends_on": [first], "inputs": [{"path": "a", "from_task": first}]}
        stolen = await mallory.http.post("/api/v1/tasks", json=wanted)
        assert stolen.status_code == 422
        assert "there is no task" in stolen.json()["error"]["message"]
        second = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert (second["phase"], second["depends_on"]) == ("waiting", [first])
        await run(world, first, {"a": b"x"})
        assert (await world.state(second["id"])).phase is Phase.QUEUED
        # Submitted after all that it needs is there, a task need not wait.
        third = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert (third["phase"], third["inputs"][0]["size"]) == ("queued", 1)
        assert [entry["event"] for entry in await timeline(alice, third["id"])] == [
            "task.created",
            "task.queued",
        ]
        # And what can't be had any more is refused.
        missing = JOB | {"inputs": [{"path": "b", "from_task": first}]}
        answer = await alice.http.post("/api/v1/tasks", json=missing)
        assert answer.status_code == 409
        assert answer.json()["error"]["code"] == "DEPENDENCY_UNMET"
        assert answer.json()["error"]["details"]["reason"] == "OUTPUT_MISSING"
        await world.step(third["id"], CancelRequested())
        answer = await alice.http.post("/api/v1/tasks", json=JOB | {"depends_on": [third["id"]]})
        assert answer.json()["error"]["details"]["reason"] == "DEPENDENCY_CANCELLED"


@on_asyncio
async def test_what_others_wait_for_can_not_be_deleted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        one = (await alice.http.post("/api/v1/tasks", json=JOB)).json()["data"]["id"]
        two = (await alice.http.post("/api/v1/tasks", json=JOB)).json()["data"]["id"]
        both = JOB | {"depends_on": [one, two]}
        three = (await alice.http.post("/api/v1/tasks", json=both)).json()["data"]["id"]
        await run(world, one, {})
        await world.pay(one)
        refused = await alice.http.delete(f"/api/v1/tasks/{one}")
        assert refused.status_code == 409
        assert refused.json()["error"]["details"]["waiting"] == [three]
        await alice.http.delete(f"/api/v1/tasks/{three}")
        deleted = await alice.http.delete(f"/api/v1/tasks/{one}")
        assert deleted.json()["data"]["result"] == "deleted"


@on_asyncio
async def test_chains_and_crowds_of_waiting_tasks_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", deposit=1_000 * USDC)
        previous = (await alice.http.post("/api/v1/tasks", json=JOB)).json()["data"]["id"]
        first = previous
        for _ in range(MAX_DEPTH):
            body = JOB | {"depends_on": [previous]}
            previous = (await alice.http.post("/api/v1/tasks", json=body)).json()["data"]["id"]
        answer = await alice.http.post("/api/v1/tasks", json=JOB | {"depends_on": [previous]})
        assert answer.status_code == 422
        assert f"a chain of {MAX_DEPTH + 1} tasks" in answer.json()["error"]["message"]
        monkeypatch.setattr(intake, "WAITING_MAX", MAX_DEPTH)
        answer = await alice.http.post("/api/v1/tasks", json=JOB | {"depends_on": [first]})
        assert answer.status_code == 422
        assert "may wait for others" in answer.json()["error"]["message"]
        # The end of the first reaches the last in one transaction.
        await world.step(first, CancelRequested())
        last = await world.state(previous)
        assert last.ending is not None
        assert (last.phase, last.ending.code) == (Phase.FAILED, "DEPENDENCY_FAILED")
        waiting = task_lists.TaskFilter(phases=frozenset({Phase.WAITING}))
        assert await world.database.read(task_lists.count, waiting) == 0


@on_asyncio
async def test_somebody_elses_workflow_does_not_exist(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        workflow = (await submit(alice, TRAIN_AND_TEST)).json()["data"]
        path = f"{WORKFLOWS}/{workflow['id']}"
        for method in ("GET", "DELETE"):
            answer = await mallory.http.request(method, path)
            assert answer.status_code == 404, answer.text
        assert (await mallory.http.get(WORKFLOWS)).json()["data"]["total"] == 0
        assert (await show(alice, workflow["id"]))["status"] == "pending"


HEAR: dict[str, Any] = {
    "kind": "model",
    "model": "ear",
    "file": {"from_task": "cut", "output": "a/speech.wav", "path": "speech.wav"},
    "max_total_cost": "0.02",
}
HEARD = json.dumps({"text": "Hello", "language": "en"}).encode()
CUT_AND_HEAR: dict[str, Any] = {
    "tasks": {
        "report": JOB
        | {"inputs": [{"path": "heard", "from_task": "hear", "output": "result.json"}]},
        "hear": HEAR,
        "cut": JOB,
    }
}


@pytest.mark.both_databases
@on_asyncio
async def test_a_task_of_a_workflow_asks_a_model_about_what_another_leaves(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await submit(alice, CUT_AND_HEAR, **{"Idempotency-Key": "one"})
        assert answer.status_code == 201, answer.text
        workflow = answer.json()["data"]
        of = ids(workflow)
        account = (await alice.http.get("/api/v1/account")).json()["data"]
        assert account["balance"]["held"] == "2.02", "the model's own limit, and two jobs"
        hear = (await alice.http.get(f"/api/v1/tasks/{of['hear']}")).json()["data"]
        assert (hear["kind"], hear["model"], hear["phase"]) == ("model", "ear", "waiting")
        assert {each["path"] for each in hear["inputs"]} == {"request.json", "speech.wav"}

        again = await submit(alice, CUT_AND_HEAR, **{"Idempotency-Key": "one"})
        assert (again.status_code, ids(again.json()["data"])) == (200, of)
        assert len(world.woken) == 3

        await run(world, of["cut"], {"a/speech.wav": b"a recording"})
        job = await world.database.read(tasks.job_of, of["hear"])
        request, speech = job.inputs
        assert (speech.path, speech.size_bytes) == ("speech.wav", len(b"a recording"))
        # Its node finds both under the token of its own lease.
        await world.start(of["hear"])
        lease = (await world.state(of["hear"])).lease
        assert lease is not None
        node = world.client(world.tokens.token(lease.lease_id))
        asked = (await node.get(f"/api/v1/artifacts/{request.sha256}")).json()
        assert (asked["model"], asked["file"]) == ("ear", "speech.wav")
        assert (await node.get(f"/api/v1/artifacts/{speech.sha256}")).content == b"a recording"
        await world.finish(of["hear"], await world.upload(of["hear"], "result.json", HEARD))
        (given,) = (await world.database.read(tasks.job_of, of["report"])).inputs
        assert given.size_bytes == len(HEARD)
        await run(world, of["report"], {})
        assert (await show(alice, workflow["id"]))["status"] == "completed"


@on_asyncio
async def test_what_a_workflow_asks_of_models_has_to_be_paid_and_to_find_a_place(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        small = {"kind": "model", "model": "small", "prompt": "To be,"}
        three = {"tasks": {name: small | {"prompt": name} for name in ("a", "b", "c")}}
        check_error(await submit(alice, three), 429, "RATE_LIMITED")
        assert (await alice.http.get("/api/v1/tasks")).json()["data"]["total"] == 0
        # One after the other they have room.
        chain = {
            "a": small,
            "b": small | {"depends_on": ["a"]},
            "c": small | {"depends_on": ["b"]},
        }
        assert (await submit(alice, {"tasks": chain})).status_code == 201
        poor = await world.customer("poor", deposit=USDC // 1000)
        check_error(await submit(poor, {"tasks": {"a": small}}), 402, "INSUFFICIENT_CREDITS")
        for change, field in (
            ({"model": "nobody"}, ""),
            ({"file": {"path": "a"}}, "tasks.hear.file"),
            ({"file": {"sha256": "0" * 64, "output": "a"}}, "tasks.hear.file.output"),
            ({"file": {"sha256": "0" * 64, "from_task": "cut"}}, "tasks.hear.file"),
            ({"kind": "nothing"}, "tasks.hear.kind"),
            ({"prompt": "a text"}, "tasks.hear.prompt"),
        ):
            tasks_of = CUT_AND_HEAR["tasks"] | {"hear": HEAR | change}
            answer = await submit(alice, {"tasks": tasks_of})
            assert answer.is_client_error, change
            assert error_of(answer).details.get("field", "") == field, answer.text


@on_asyncio
async def test_an_operation_may_be_a_task_of_a_workflow(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        given = [{"path": "r", "from_task": "compute", "output": "result.json"}]
        compute = {"kind": "operation", **OPERATION}
        answer = await submit(
            alice, {"tasks": {"compute": compute, "then": JOB | {"inputs": given}}}
        )
        assert answer.status_code == 201, answer.text
        of = ids(answer.json()["data"])
        shown = (await alice.http.get(f"/api/v1/tasks/{of['compute']}")).json()["data"]
        assert shown["kind"] == "operation"
        await run(world, of["compute"], {"result.json": b"{}"})
        assert (await world.state(of["then"])).phase is Phase.QUEUED
