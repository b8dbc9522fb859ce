"""Document 000's API, as a client sees it that knows nothing else."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from conformance.document_000 import GPU, LIMITED, PROGRESS
from conformance.shape import differences
from coordinator.answering import RESULT
from coordinator.api_world import OPERATION, TASK, node_view, open_world
from coordinator.computing import computing
from coordinator.error_answers import check_error, error_of
from coordinator.on_asyncio import on_asyncio
from coordinator.owned_things import failure
from coordinator.receiver import deliver_due, receiving
from coordinator.records import node_id
from coordinator.served import served
from neurogrid_coordinator.server.request_rules import RequestRules
from neurogrid_coordinator.store.accounts import SCOPES
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.usage import GpuUse

TASKS = "/api/task"
BATCH = "/api/tasks/batch"
KEYS = "/api/keys/generate"
WEBHOOKS = "/api/webhooks/configure"
HOOK = "https://hooks.example.org/here"
GPU_TASK = {**TASK, "type": "gpu", "resource_requirements": {"gpu_count": 1}}


async def read(http: httpx.AsyncClient, path: str, **query: str) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@on_asyncio
async def test_gpus_are_the_markets_and_processes_the_accounts_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        total = node_view("one").offer.total
        free = Capacity(1000, total.memory_bytes, total.disk_bytes, ())
        uses = (GpuUse("GPU-1", 80, 2**30, 71, 120_500),)
        busy = replace(node_view("one", free=free), gpus=uses)
        await world.nodes.on_node(node_id("one"), "heartbeat", busy)
        # Another's driver tells of its temperature alone.
        tells = replace(node_view("two"), gpus=(GpuUse("GPU-2", temperature_celsius=40),))
        await world.nodes.on_node(node_id("two"), "heartbeat", tells)
        task = (await alice.http.post("/api/v1/tasks", json=GPU_TASK)).json()["data"]
        await world.start(task["id"])
        # No GPU's.
        other = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]
        await world.start(other["id"])

        seen = await read(alice.http, "/api/resources/gpu")
        assert list(differences(GPU.printed, seen, {}, GPU.filled)) == []
        each = total.gpus[0].memory_bytes
        assert seen["utilization"] == 50.0
        assert seen["memory"] == {"total": 2 * each, "used": each, "free": each}
        # Three of four cores of one node, none of the other's.
        assert seen["advanced"]["averageLoad"] == 37.5
        assert seen["advanced"]["uptime"] >= 0
        assert (seen["temperature"], seen["powerUsage"]) == (55.5, 120.5)
        [process] = seen["advanced"]["processes"]
        assert (process["taskId"], process["nodeId"]) == (task["id"], node_id("one"))
        native = (await read(alice.http, "/api/v1/analytics/gpus"))["data"]
        assert (native["total"], native["taken"], native["utilization"]) == (2, 1, 50.0)
        assert (native["busy"], native["power_watts"]) == (80.0, 120.5)
        assert (native["temperature_mean"], native["temperature_max"]) == (55.5, 71)
        assert [each["task_id"] for each in native["tasks"]] == [task["id"]]

        await world.finish(task["id"])
        theirs = await read(bob.http, "/api/resources/gpu")
        assert theirs["advanced"]["processes"] == []
        assert theirs["advanced"]["performance"]["efficiency"] == 1.0
        for name in [view.offer.node_id for view in world.market.views]:
            await world.nodes.on_node(name, "left", node_view("one"))
        empty = await read(bob.http, "/api/resources/gpu")
        assert (empty["utilization"], empty["memory"]["total"]) == (0.0, 0)
        assert (empty["temperature"], empty["powerUsage"]) == (0.0, 0.0)
        assert (empty["advanced"]["averageLoad"], empty["advanced"]["uptime"]) == (0.0, 0)


@on_asyncio
async def test_logs_and_errors_are_the_accounts_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice", scopes=SCOPES), await world.customer("m")
        thing = await failure(world, alice, "")
        made = await alice.http.post(KEYS, json={"name": "one", "permissions": ["read"]})
        assert made.status_code == 201, made.text

        found = await read(alice.http, "/api/audit/logs")
        assert [entry["message"] for entry in found["logs"]] == [
            f"POST {KEYS}",
            "POST /api/v1/tasks",
        ]
        newest, oldest = found["logs"]
        assert (newest["type"], newest["level"]) == ("api", "warning")
        assert newest["details"]["key_id"].startswith("key_")
        assert found["metadata"] == {"total": 2, "filtered": 2, "timeRange": "../.."}
        since = {"startTime": newest["timestamp"], "type": "api", "level": "warning"}
        assert (await read(alice.http, "/api/audit/logs", **since))["logs"] == [newest]
        page = await read(alice.http, "/api/audit/logs", limit="1", offset="1")
        assert (page["logs"], page["metadata"]["filtered"]) == ([oldest], 2)
        before = await read(alice.http, "/api/audit/logs", endTime=oldest["timestamp"])
        assert before["metadata"]["filtered"] == 0
        assert (await read(mallory.http, "/api/audit/logs"))["logs"] == []

        [error] = (await read(alice.http, "/api/errors/log"))["errors"]
        assert error["id"] == thing.parameters["error_id"]
        assert (error["context"]["code"], error["resolution"]) == ("EXIT_NONZERO", "")
        task_id = error["context"]["taskId"]
        fit = {"taskId": task_id, "severity": "medium", "timeframe": "1h"}
        assert (await read(alice.http, "/api/errors/log", **fit))["total"] == 1
        assert (await read(alice.http, "/api/errors/log", severity="high"))["errors"] == []
        assert (await read(mallory.http, "/api/errors/log", taskId=task_id))["errors"] == []
        resolved = {"resolution": "The image was rebuilt."}
        await alice.http.patch(f"/api/v1/errors/{error['id']}", json=resolved)
        [error] = (await read(alice.http, "/api/errors/log"))["errors"]
        assert error["resolution"] == "The image was rebuilt."
        for wrong in (
            "/api/audit/logs?startTime=yesterday",
            "/api/audit/logs?type=money",
            "/api/errors/log?severity=worst",
            "/api/errors/log?timeframe=soon",
            "/api/errors/log?limit=0",
        ):
            answer = await alice.http.get(wrong)
            check_error(answer, 422, "INVALID_REQUEST")
            assert error_of(answer).details["field"] in wrong


@on_asyncio
async def test_keys_do_no_more_than_the_key_or_token_that_asks(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        wanted = {"name": "app", "permissions": ["read", "keys"], "expiry": "2090-01-01T00:00:00Z"}
        once = {"Idempotency-Key": "one"}
        made = await alice.http.post(KEYS, json=wanted, headers=once)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        key = made.json()
        assert key["permissions"] == ["read", "keys"]
        assert key["expiry"] == "2090-01-01T00:00:00.000Z"
        again = await alice.http.post(KEYS, json=wanted, headers=once)
        assert (again.status_code, again.json()["id"]) == (200, key["id"])
        reader = world.client(again.json()["key"])
        check_error(await reader.post("/api/v1/tasks", json=TASK), 403, "FORBIDDEN")

        # An application's token, as the document shows.
        app = {"name": "app", "scopes": ["read", "keys"]}
        app = (await alice.http.post("/api/v1/oauth/clients", json=app)).json()["data"]
        form = {
            "grant_type": "client_credentials",
            "client_id": app["client_id"],
            "client_secret": app["client_secret"],
        }
        token = (await world.client().post("/oauth/token", data=form)).json()
        asking = world.client(token["access_token"])
        narrow = {"name": "narrow", "permissions": ["read"], "expiry": ""}
        answer = await asking.post(KEYS, json=narrow)
        assert answer.status_code == 201, answer.text
        assert answer.json()["expiry"] is not None, "no later than the token"
        check_error(
            await asking.post(KEYS, json={**narrow, "permissions": ["write"]}), 403, "FORBIDDEN"
        )

        for change, field in (
            ({"expiry": "2001-01-01"}, "expiry"),
            ({"expiry": "next year"}, "expiry"),
            ({"permissions": ["everything"]}, "permissions[0]"),
            ({"permissions": []}, "permissions"),
            ({"name": "a\nb"}, "name"),
            ({"scopes": ["read"]}, "scopes"),
        ):
            answer = await alice.http.post(KEYS, json={**wanted, **change})
            assert check_error(answer, 422, "INVALID_REQUEST").startswith(f"{field}: ")
            assert error_of(answer).details["field"] == field
        check_error(await alice.http.post(KEYS, content=b"{"), 400, "INVALID_REQUEST")
        _, unscoped = await world.key_of(alice.account)
        check_error(await unscoped.post(KEYS, json=narrow), 403, "FORBIDDEN")


@on_asyncio
async def test_a_webhook_of_a_url_is_configured_again_and_signed_as_the_document_checks(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        world.web.private["hooks.example.org", 443] = ip_address("127.0.0.1")
        wanted = {
            "url": HOOK,
            "events": ["task.complete"],
            "security": {
                "signatureAlgorithm": "sha256",
                "headers": {"X-Signature": "any", "X-Timestamp": "any"},
            },
            "retries": {"maxAttempts": 3, "backoffSeconds": 7},
        }
        first = (await alice.http.post(WEBHOOKS, json=wanted)).json()
        assert (first["events"], first["retries"]["maxAttempts"]) == (["task.completed"], 3)
        assert first["secret"].startswith("whsec_")
        changed = {**wanted, "events": ["task.failed"], "secret": "x" * 16}
        second = (await alice.http.post(WEBHOOKS, json=changed)).json()
        assert (second["id"], second["secret"]) == (first["id"], None)
        assert second["events"] == ["task.failed"]
        [row] = (await alice.http.get("/api/v1/webhooks")).json()["data"]["webhooks"]
        assert (row["signature"], row["retries"]["backoff_seconds"]) == ("payload", 7)
        assert (await bob.http.post(WEBHOOKS, json=changed)).json()["id"] != first["id"]

        for change, field in (
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"events": ["task.paused"]}, "events"),
            ({"secret": "short"}, "secret"),
            ({"security": {"signatureAlgorithm": "md5"}}, "security.signatureAlgorithm"),
            ({"retries": {"maxAttempts": 0}}, "retries.maxAttempts"),
        ):
            answer = await alice.http.post(WEBHOOKS, json={**wanted, **change})
            check_error(answer, 422, "INVALID_REQUEST")
            assert error_of(answer).details["field"] == field


@on_asyncio
async def test_too_many_requests_are_refused_as_printed(tmp_path: Path) -> None:
    rules = RequestRules({"free": 2}, "free", per_address=1000)
    async with open_world(tmp_path, requests=rules) as world:
        alice = await world.customer("alice")
        for _ in range(2):
            answer = await alice.http.get("/api/resources/gpu")
            assert answer.headers["x-ratelimit-limit"] == "2"
        answer = await alice.http.get("/api/resources/gpu")
        assert answer.status_code == LIMITED.status
        body = answer.json()
        assert list(differences(LIMITED.printed, body, LIMITED.words)) == []
        assert body["limits"]["user"]["remaining"] == 0
        assert body["limits"]["ip"]["limit"] == 1000
        assert answer.headers["x-ratelimit-retry-after"] == str(body["retryAfter"])
        for name in ("limit", "remaining", "reset"):
            assert answer.headers[f"x-ratelimit-{name}"].isdecimal()


@on_asyncio
async def test_errors_have_the_documents_form_whoever_refuses(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        check_error(await world.client().get("/api/resources/gpu"), 401, "UNAUTHORIZED")
        check_error(await world.client("ng_wrong").get("/api/audit/logs"), 401, "UNAUTHORIZED")
        alice = await world.customer("alice")
        check_error(await alice.http.get("/api/resources/cpu"), 404, "NOT_FOUND")
        check_error(await alice.http.delete("/api/audit/logs"), 405, "METHOD_NOT_ALLOWED")


@on_asyncio
async def test_a_task_asks_a_model_and_shows_what_came_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        once = {"Idempotency-Key": "one"}
        whole = {
            "model": "gpt-small",
            "input": "To be,",
            "priority": 3,
            "options": {
                "quality": 0.95,
                "timeout": 30000,
                "dependencies": [],
                "customPriority": {
                    "level": 9,
                    "reason": "a demonstration",
                    "deadline": "2090-01-01T00:00:00Z",
                },
            },
        }
        answer = await alice.http.post(TASKS, json=whole, headers=once)
        assert answer.status_code == 201, answer.text
        first = answer.json()
        assert (first["status"], first["model"], first["priority"]) == ("pending", "gpt-small", 9)
        assert (first["result"], first["error"], first["progress"]) == (None, None, 0)
        again = await alice.http.post(TASKS, json=whole, headers=once)
        assert (again.status_code, again.json()["taskId"]) == (200, first["taskId"])
        other = {**whole, "input": "or not"}
        answer = await alice.http.post(TASKS, json=other, headers=once)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")

        task_id = first["taskId"]
        native = (await read(alice.http, f"/api/v1/tasks/{task_id}"))["data"]
        assert (native["kind"], native["timeout_seconds"]) == ("model", 30)
        assert native["model_request"]["parameters"]["temperature"] == 0.05
        assert (native["priority"], native["priority_reason"]) == (9, "a demonstration")
        assert native["deadline"] == "2090-01-01T00:00:00.000Z"

        after = {"model": "small", "input": "x", "options": {"dependencies": [task_id]}}
        second = (await alice.http.post(TASKS, json=after)).json()
        native = (await read(alice.http, f"/api/v1/tasks/{second['taskId']}"))["data"]
        assert (native["depends_on"], native["phase"]) == ([task_id], "waiting")

        await world.start(task_id)
        seen = await read(alice.http, f"{TASKS}/{task_id}")
        assert list(differences(PROGRESS.printed, seen, PROGRESS.words)) == []
        assert seen["status"] == "running"
        left = await world.upload(task_id, "result.json", json.dumps(RESULT).encode())
        await world.finish(task_id, left)
        done = await read(alice.http, f"{TASKS}/{task_id}")
        assert (done["status"], done["progress"]) == ("complete", 100.0)
        assert (done["result"], done["tokensUsed"]) == (RESULT["text"], 8)
        assert done["metrics"]["prediction"]["timeRemaining"] == 0

        ids = f"{task_id},{second['taskId']},{task_id},task_0"
        found = await read(alice.http, "/api/tasks/statuses", ids=ids)
        assert [each["taskId"] for each in found["statuses"]] == [task_id, second["taskId"]]
        assert [each["status"] for each in found["statuses"]] == ["complete", "pending"]
        assert found["notFound"] == ["task_0"]
        theirs = await read(mallory.http, "/api/tasks/statuses", ids=task_id)
        assert theirs == {"statuses": [], "notFound": [task_id]}
        check_error(await mallory.http.get(f"{TASKS}/{task_id}"), 404, "NOT_FOUND")
        theirs_wanted = {**after, "model": "small"}
        answer = await mallory.http.post(TASKS, json=theirs_wanted)
        assert error_of(answer).details["field"] == "options.dependencies"

        # One that fails, and one that no model was asked for.
        await world.start(second["taskId"])
        await world.finish(second["taskId"], outcome=Outcome.EXIT_NONZERO)
        failed = await read(alice.http, f"{TASKS}/{second['taskId']}")
        assert (failed["status"], failed["error"]["code"]) == ("error", "EXIT_NONZERO")
        plain = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        assert (await read(alice.http, f"{TASKS}/{plain}"))["model"] is None


@on_asyncio
async def test_a_deadline_that_cannot_be_kept_is_refused_in_the_documents_words(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        options = {"customPriority": {"deadline": "2001-01-01T00:00:00Z"}, "timeout": 30000}
        asked = {"model": "small", "input": "one", "options": options}
        answer = await alice.http.post(TASKS, json=asked)
        check_error(answer, 422, "INVALID_REQUEST")
        refused = error_of(answer)
        assert refused.details["field"] == "options.customPriority.deadline"
        assert "may take 30 s" in refused.message
        # Of a batch it is said when a task's turn comes.
        batch = (await alice.http.post(BATCH, json={"tasks": [asked]})).json()
        await world.batch_runner().look()
        told = (await read(alice.http, f"{TASKS}/{batch['taskIds'][0]}"))["error"]["message"]
        for native in ("timeout_seconds", "deadline_policy", "_"):
            assert native not in refused.message + told


@on_asyncio
async def test_a_task_that_asked_no_model_has_no_models_result(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        async with computing(world):
            done = await alice.http.post("/tasks", json=OPERATION)
        shown = await read(alice.http, f"/api/task/{done.json()['task_id']}")
        assert (shown["status"], shown["model"]) == ("complete", None)
        assert (shown["result"], shown["tokensUsed"]) == (None, None)


@on_asyncio
async def test_quality_and_input_are_what_the_models_type_makes_of_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        speech = b"speech"
        digest = hashlib.sha256(speech).hexdigest()
        await alice.http.put(f"/api/v1/artifacts/{digest}", content=speech)
        for model, given, parameters in (
            ("small", "x", {"temperature": 0.0}),
            ("makers/large", "x", {"steps": 40}),
            ("ear", digest, {"language": ""}),
        ):
            asked = {"model": model, "input": given, "options": {"quality": 1}}
            answer = await alice.http.post(TASKS, json=asked)
            assert answer.status_code == 201, answer.text
            path = f"/api/v1/tasks/{answer.json()['taskId']}"
            task = (await read(alice.http, path))["data"]
            assert parameters.items() <= task["model_request"]["parameters"].items()
        assert {each["path"] for each in task["inputs"]} == {"request.json", "recording"}

        for change, status, code, field in (
            ({"model": "gpt-9"}, 404, "MODEL_UNAVAILABLE", None),
            ({"model": "ear"}, 422, "INVALID_REQUEST", "input"),
            ({"model": "ear", "input": "0" * 64}, 422, "INVALID_REQUEST", "input"),
            ({"input": ""}, 422, "INVALID_REQUEST", "input"),
            ({"priority": 11}, 422, "INVALID_REQUEST", "priority"),
            ({"options": {"quality": 2}}, 422, "INVALID_REQUEST", "options.quality"),
            ({"options": {"timeout": 30}}, 422, "INVALID_REQUEST", "options.timeout"),
            (
                {"options": {"customPriority": {"deadline": "2001-01-01T00:00:00Z"}}},
                422,
                "INVALID_REQUEST",
                "options.customPriority.deadline",
            ),
            (
                {"options": {"dependencies": [f"task_{'0' * 32}"]}},
                422,
                "INVALID_REQUEST",
                "options.dependencies",
            ),
            ({"temperature": 1}, 422, "INVALID_REQUEST", "temperature"),
        ):
            answer = await alice.http.post(TASKS, json={"model": "small", "input": "x", **change})
            message = check_error(answer, status, code)
            assert field is None or error_of(answer).details["field"] == field, message
        for wrong in ("", ",", ",".join(f"task_{n}" for n in range(101))):
            answer = await alice.http.get("/api/tasks/statuses", params={"ids": wrong})
            assert check_error(answer, 422, "INVALID_REQUEST").startswith("ids: ")


@pytest.mark.both_databases
@on_asyncio
async def test_a_batchs_tasks_have_ids_before_their_turn_and_keep_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        asked = {
            "tasks": [
                {"model": "makers/large", "input": "one", "priority": 8},
                {"model": "makers/large", "input": "two", "priority": 2},
            ],
            "batchOptions": {"parallel": False, "maxConcurrent": 5, "timeoutPerTask": 30000},
        }
        once = {"Idempotency-Key": "one"}
        answer = await alice.http.post(BATCH, json=asked, headers=once)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        again = await alice.http.post(BATCH, json=asked, headers=once)
        assert (again.status_code, again.json()) == (200, made)
        first, second = made["taskIds"]
        assert (made["total"], made["status"]) == (2, "running")

        ids = f"{first},{second}"
        found = await read(alice.http, "/api/tasks/statuses", ids=ids)
        assert list(differences(PROGRESS.printed, found["statuses"][0], PROGRESS.words)) == []
        assert [each["status"] for each in found["statuses"]] == ["pending", "pending"]
        assert [each["priority"] for each in found["statuses"]] == [8, 2]
        assert (await read(mallory.http, "/api/tasks/statuses", ids=ids))["statuses"] == []
        check_error(await mallory.http.get(f"{TASKS}/{first}"), 404, "NOT_FOUND")

        submitted = {each["createdAt"] for each in found["statuses"]}
        runner = world.batch_runner()
        world.now_ms += 60_000
        await runner.look()
        assert world.woken == [first], "one after the other"
        shown = await read(alice.http, f"{TASKS}/{first}")
        assert {shown["createdAt"]} == submitted, "its turn is no other submission"
        task = (await read(alice.http, f"/api/v1/tasks/{first}"))["data"]
        assert (task["timeout_seconds"], task["priority"]) == (30, "high")
        waiting = await read(alice.http, f"{TASKS}/{second}")
        assert (waiting["status"], waiting["result"]) == ("pending", None)
        await world.start(first)
        left = await world.upload(first, "result.json", json.dumps({"text": "done"}).encode())
        await world.finish(first, left)
        # Collected, and the next one released.
        await runner.look()
        await runner.look()
        assert (await read(alice.http, f"{TASKS}/{first}"))["result"] == "done"
        assert world.woken == [first, second]
        await world.start(second)
        found = await read(alice.http, "/api/tasks/statuses", ids=f"{second},{first}")
        assert [each["status"] for each in found["statuses"]] == ["running", "complete"]

        # One that is cancelled before its turn has no task, and says so.
        answer = await alice.http.post(BATCH, json={**asked, "batchOptions": {}})
        batch = answer.json()
        await alice.http.post(f"/api/v1/batches/{batch['batchId']}/cancel")
        gone = await read(alice.http, f"{TASKS}/{batch['taskIds'][1]}")
        assert (gone["status"], gone["error"]["code"]) == ("error", "CANCELLED")

        for change, code, field in (
            ({"tasks": []}, "INVALID_REQUEST", "tasks"),
            ({"tasks": [{"model": "small", "input": ""}]}, "INVALID_REQUEST", "tasks[0].input"),
            ({"tasks": [{"model": "ear", "input": "x"}]}, "INVALID_REQUEST", "tasks[0].input"),
            ({"tasks": [{"model": "gpt-9", "input": "x"}]}, "MODEL_UNAVAILABLE", None),
            (
                {"batchOptions": {"maxConcurrent": 0}},
                "INVALID_REQUEST",
                "batchOptions.maxConcurrent",
            ),
        ):
            answer = await alice.http.post(BATCH, json={**asked, **change})
            check_error(answer, 404 if code == "MODEL_UNAVAILABLE" else 422, code)
            assert field is None or error_of(answer).details["field"] == field


@on_asyncio
async def test_an_applications_token_hears_progress_until_it_ends_and_webhooks_of_batches(
    tmp_path: Path,
) -> None:
    async with (
        open_world(tmp_path) as world,
        served(world) as address,
        receiving(world) as receiver,
    ):
        alice = await world.customer("alice", scopes=SCOPES)
        app = {"name": "app", "scopes": ["read", "write"]}
        app = (await alice.http.post("/api/v1/oauth/clients", json=app)).json()["data"]
        own = {"client_id": app["client_id"], "client_secret": app["client_secret"]}
        form = {"grant_type": "client_credentials", **own}
        token = (await world.client().post("/oauth/token", data=form)).json()["access_token"]
        http = world.client(token)
        secret = "your-webhook-secret"
        hook = {"url": receiver.url, "events": ["batch.finished"], "secret": secret}
        assert (await http.post(WEBHOOKS, json=hook)).status_code == 200

        async with connect(f"ws://{address}/ws?dialect=bolt") as socket:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            while json.loads(await socket.recv())["type"] != "authenticated":
                pass
            asked = {"tasks": [{"model": "makers/large", "input": "one"}]}
            batch = (await http.post(BATCH, json=asked)).json()
            runner = world.batch_runner()
            await runner.look()
            [task_id] = batch["taskIds"]
            await world.start(task_id)
            await world.finish(task_id)
            await runner.look()
            told: list[Any] = []
            while not told or told[-1]["status"] != "complete":
                message = json.loads(await socket.recv())
                if message["type"] == "progress":
                    told.append(message)
            for message in told:
                assert message["taskId"] == task_id
                assert list(differences(PROGRESS.printed, message, PROGRESS.words)) == []
            assert [message["status"] for message in told] == ["running", "complete"]
            ended = await world.client().post("/oauth/revoke", data={"token": token, **own})
            assert ended.status_code == 200
            # Heartbeats may still come.
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code == 4401

        assert await deliver_due(world) == 1
        (received,) = receiver.received
        assert json.loads(received.body)["data"]["batch_id"] == batch["batchId"]
        # The document's verifyWebhook.
        mac = hmac.new(secret.encode(), received.body, hashlib.sha256).hexdigest()
        assert received.headers["x-signature"] == mac
