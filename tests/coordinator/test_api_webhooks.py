"""Webhooks as their owners see them: made over REST, delivered to a receiver of the test's."""

import asyncio
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import TASK, Customer, World, node_id, node_view, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from coordinator.receiver import (
    HOST,
    Receiver,
    deliver_due,
    delivery_of,
    receiving,
    silence,
    status,
)
from neurogrid_coordinator import webhook_delivery, webhook_schedule, webhook_sender
from neurogrid_coordinator.api.event_views import node_status_body
from neurogrid_coordinator.config import RetentionConfig
from neurogrid_coordinator.retention import forget_once
from neurogrid_coordinator.store import events
from neurogrid_coordinator.webhook_nodes import keep_node_status

HOOKS = "/api/v1/webhooks"
DAY_MS = 24 * 3_600_000


async def made(customer: Customer, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    body = {"url": receiver.url, "events": ["task.completed"], **changes}
    answer = await customer.http.post(HOOKS, json=body)
    assert answer.status_code == 201, answer.text
    found = answer.json()["data"]
    assert isinstance(found, dict)
    return found


async def completed(world: World, customer: Customer, **changes: Any) -> str:
    answer = await customer.http.post("/api/v1/tasks", json={**TASK, **changes})
    task_id = str(answer.json()["data"]["id"])
    await world.start(task_id)
    await world.finish(task_id)
    return task_id


async def listed(http: httpx.AsyncClient, hook: dict[str, Any], query: str = "") -> Any:
    return (await http.get(f"{HOOKS}/{hook['id']}/deliveries{query}")).json()["data"]


async def shown(http: httpx.AsyncClient, hook: dict[str, Any]) -> Any:
    return (await http.get(f"{HOOKS}/{hook['id']}")).json()["data"]


@pytest.mark.both_databases
@on_asyncio
async def test_a_webhooks_whole_life(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        body = {"url": receiver.url, "events": ["task.failed", "task.created", "task.complete"]}
        answer = await alice.http.post(HOOKS, json=body)
        assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
        hook = answer.json()["data"]
        assert answer.headers["location"] == f"{HOOKS}/{hook['id']}"
        assert hook["secret"].startswith("whsec_")
        assert hook["events"] == ["task.created", "task.completed", "task.failed"]
        assert hook["retries"] == {"max_attempts": 8, "backoff_seconds": 10}
        assert (hook["state"], hook["signature"]) == ("active", "timestamped")
        without = {name: value for name, value in hook.items() if name != "secret"}
        assert await shown(alice.http, hook) == without
        listing = (await alice.http.get(HOOKS)).json()["data"]
        assert (listing["webhooks"], listing["total"]) == ([without], 1)

        task_id = await completed(world, alice)
        assert await deliver_due(world) == 2
        first, last = receiver.received
        for received, kind in ((first, "task.created"), (last, "task.completed")):
            message = json.loads(received.body)
            assert received.path == "/hook"
            assert message["id"] == received.headers["x-delivery-id"]
            assert message["type"] == received.headers["x-event"] == kind
            assert message["webhook_id"] == hook["id"]
            assert message["data"]["task_id"] == task_id
            stamp = received.headers["x-timestamp"]
            signed = stamp.encode() + b"." + received.body
            mac = hmac.new(hook["secret"].encode(), signed, hashlib.sha256).hexdigest()
            assert received.headers["x-signature"] == mac
            assert int(stamp) == world.now_ms // 1000
        assert json.loads(first.body)["data"]["status"] == "pending"
        assert json.loads(last.body)["data"]["cost_usdc"] == "0.001"
        page = await listed(alice.http, hook)
        assert [row["state"] for row in page["deliveries"]] == ["delivered", "delivered"]
        assert await deliver_due(world) == 0

        change = {"events": ["task.failed"], "description": "later"}
        changed = (await alice.http.patch(f"{HOOKS}/{hook['id']}", json=change)).json()["data"]
        assert (changed["events"], changed["description"]) == (["task.failed"], "later")
        assert changed["url"] == hook["url"]
        await completed(world, alice)
        assert await deliver_due(world) == 0

        gone = await alice.http.delete(f"{HOOKS}/{hook['id']}")
        assert gone.json()["data"] == {"id": hook["id"], "deleted": True}
        check_error(await alice.http.get(f"{HOOKS}/{hook['id']}"), 404, "NOT_FOUND")
        await delivery_of(world).sweep()


@on_asyncio
async def test_bad_webhooks_are_refused_with_what_to_do(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        world.web.names["inside.example.org"] = [["10.1.2.3"]]
        world.web.names["loop.example.org"] = [["127.0.0.1", "::1"]]
        for url, words in [
            ("https://127.0.0.1/x", "no name of a host"),
            ("https://[::1]/x", "no name of a host"),
            ("https://inside.example.org/x", "no address of the public internet"),
            ("https://loop.example.org/x", "no address of the public internet"),
            ("https://nowhere.example.org/x", "was not found"),
            ("ftp://inside.example.org/x", "neither https:// nor http://"),
            ("https://user:pw@inside.example.org/", "user or a password"),
            ("https://inside.example.org/#x", "fragment"),
            ("https://inside.example.org:22/", "port 22"),
        ]:
            answer = await alice.http.post(HOOKS, json={"url": url, "events": ["task.failed"]})
            message = check_error(answer, 422, "INVALID_REQUEST")
            assert words in message, (url, message)
            assert answer.json()["error"]["details"]["field"] == "url"
        good = {"url": "https://inside.example.org/", "events": ["task.completed"]}
        changes: list[tuple[dict[str, Any], str]] = [
            ({"events": ["task.eaten"]}, "there are task.created, task.updated"),
            ({"events": []}, "events"),
            ({"secret": "short"}, "16 to 256"),
            ({"signature": "md5"}, "signature"),
            ({"retries": {"max_attempts": 21}}, "max_attempts"),
            ({"retries": {"backoff_seconds": 0}}, "backoff_seconds"),
            ({"filter": {"about": ["a b"]}}, "about"),
            ({"headers": {}}, "not a field"),
        ]
        for change, words in changes:
            answer = await alice.http.post(HOOKS, json={**good, **change})
            assert words in check_error(answer, 422, "INVALID_REQUEST")
        # Who may not read must not be told by a webhook either.
        _, writer = await world.key_of(alice.account, ("write",))
        answer = await writer.post(HOOKS, json=good)
        check_error(answer, 403, "FORBIDDEN")
        assert answer.json()["error"]["details"] == {"scope": "read"}


@on_asyncio
async def test_an_account_has_a_bounded_number_and_a_repeated_request_makes_one(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        body = {"url": receiver.url, "events": ["task.failed"]}
        key = {"Idempotency-Key": "k"}
        first = await alice.http.post(HOOKS, json=body, headers=key)
        again = await alice.http.post(HOOKS, json=body, headers=key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["data"] == first.json()["data"]
        other = {**body, "events": ["task.created"]}
        answer = await alice.http.post(HOOKS, json=other, headers=key)
        check_error(answer, 409, "IDEMPOTENCY_MISMATCH")
        theirs = await mallory.http.post(HOOKS, json=other, headers=key)
        assert theirs.status_code == 201
        for _ in range(19):
            await made(alice, receiver)
        answer = await alice.http.post(HOOKS, json=body)
        assert "may have 20" in check_error(answer, 409, "CONFLICT")
        await alice.http.delete(f"{HOOKS}/{first.json()['data']['id']}")
        renewed = await alice.http.post(HOOKS, json=body, headers=key)
        assert renewed.status_code == 201


@on_asyncio
async def test_what_fails_is_sent_again_later_the_same_bytes_under_the_same_id(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver, retries={"max_attempts": 3, "backoff_seconds": 10})
        receiver.answers = [status(500), status(302, "Location: http://127.0.0.1/"), status(204)]
        await completed(world, alice)
        assert await deliver_due(world) == 1
        assert await deliver_due(world) == 0, "its pause is not over"
        world.now_ms += 11_000
        assert await deliver_due(world) == 1
        world.now_ms += 22_000
        assert await deliver_due(world) == 1
        assert len({(one.body, one.headers["x-delivery-id"]) for one in receiver.received}) == 1
        assert [one.headers["x-attempt"] for one in receiver.received] == ["1", "2", "3"]
        assert len({one.headers["x-signature"] for one in receiver.received}) == 3
        row = (await listed(alice.http, hook, "?state=delivered"))["deliveries"][0]
        detail = (await alice.http.get(f"{HOOKS}/{hook['id']}/deliveries/{row['id']}")).json()[
            "data"
        ]
        assert [one["status"] for one in detail["log"]] == [500, 302, 204]
        assert "redirects are not followed" in detail["log"][1]["error"]
        assert detail["body"] == json.loads(receiver.received[0].body)
        assert (detail["next_attempt_at"], detail["attempts"]) == (None, 3)


@on_asyncio
async def test_what_fails_to_the_end_can_be_sent_again_by_hand(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver, retries={"max_attempts": 1})
        receiver.answers = [status(500), status(200)]
        await completed(world, alice)
        await deliver_due(world)
        row = (await listed(alice.http, hook, "?state=failed&event=task.completed"))["deliveries"][
            0
        ]
        assert (await shown(alice.http, hook))["failing_since"] is not None
        url = f"{HOOKS}/{hook['id']}/deliveries/{row['id']}/redeliver"
        again = await alice.http.post(url)
        assert (again.status_code, again.json()["data"]["state"]) == (202, "pending")
        assert again.json()["data"]["id"] == row["id"]
        assert (await alice.http.post(url)).json()["data"]["attempts_max"] == 2, "asked for once"
        world.now_ms = time.time_ns() // 1_000_000 + 60_000
        assert await deliver_due(world) == 1
        assert receiver.received[0].body == receiver.received[1].body
        assert (await shown(alice.http, hook))["failing_since"] is None


@on_asyncio
async def test_a_test_event_says_so_and_goes_out_once_also_where_the_webhook_is_paused(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver)
        await alice.http.post(f"{HOOKS}/{hook['id']}/pause")
        receiver.answers = [status(503), status(200)]
        answer = await alice.http.post(f"{HOOKS}/{hook['id']}/test", json={"event": "node.status"})
        assert answer.status_code == 202
        world.now_ms = time.time_ns() // 1_000_000 + 60_000
        assert await deliver_due(world) == 1
        message = json.loads(receiver.received[0].body)
        assert (message["type"], message["test"]) == ("node.status", True)
        shown = (await alice.http.get(answer.headers["location"])).json()["data"]
        assert (shown["state"], shown["attempts"]) == ("failed", 1)
        answer = await alice.http.post(f"{HOOKS}/{hook['id']}/test", json={"event": "x"})
        check_error(answer, 422, "INVALID_REQUEST")
        for _ in range(20):
            assert (await alice.http.post(f"{HOOKS}/{hook['id']}/test", json={})).status_code == 202
        answer = await alice.http.post(f"{HOOKS}/{hook['id']}/test", json={})
        assert "under way" in check_error(answer, 409, "CONFLICT")


@pytest.mark.both_databases
@on_asyncio
async def test_a_paused_webhook_gets_what_happened_when_it_is_resumed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver)
        paused = await alice.http.post(f"{HOOKS}/{hook['id']}/pause")
        assert paused.json()["data"]["state"] == "paused"
        await completed(world, alice)
        assert await deliver_due(world) == 0
        await alice.http.post(f"{HOOKS}/{hook['id']}/resume")
        assert await deliver_due(world) == 1
        # What has waited for more than a week is given up.
        await alice.http.post(f"{HOOKS}/{hook['id']}/pause")
        await completed(world, alice)
        world.now_ms += 8 * DAY_MS
        await delivery_of(world).sweep()
        assert [row["state"] for row in (await listed(alice.http, hook))["deliveries"]] == [
            "failed",
            "delivered",
        ]


@on_asyncio
async def test_a_receiver_that_is_gone_disables_its_webhook_and_its_owner_is_told(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver)
        watching = await made(alice, receiver, events=["system.alert"])
        receiver.answers = [status(410), status(200)]
        await completed(world, alice)
        await completed(world, alice)
        await deliver_due(world)
        row = await shown(alice.http, hook)
        assert (row["state"], row["reason"]) == ("disabled", "its receiver answers 410 Gone")
        await completed(world, alice)
        assert (await listed(alice.http, hook, "?state=pending"))["total"] == 0
        answer = await alice.http.post(f"{HOOKS}/{hook['id']}/pause")
        check_error(answer, 409, "CONFLICT")
        await deliver_due(world)
        alert = json.loads(receiver.received[-1].body)
        assert (alert["type"], alert["webhook_id"]) == ("system.alert", watching["id"])
        assert alert["data"]["code"] == "WEBHOOK_DISABLED"
        assert alert["data"]["webhook_id"] == hook["id"]
        resumed = await alice.http.post(f"{HOOKS}/{hook['id']}/resume")
        assert (resumed.json()["data"]["state"], resumed.json()["data"]["reason"]) == ("active", "")


@on_asyncio
async def test_filters_secrets_and_both_signatures(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        secret = "your-webhook-secret"
        hook = await made(
            alice,
            receiver,
            secret=secret,
            signature="payload",
            filter={"task_name_prefix": "nightly"},
        )
        assert hook["secret"] == secret
        await completed(world, alice, name="daily")
        await completed(world, alice, name="nightly 1")
        assert await deliver_due(world) == 1
        (received,) = receiver.received
        # Document 000's verifyWebhook.
        mac = hmac.new(secret.encode(), received.body, hashlib.sha256).hexdigest()
        assert received.headers["x-signature"] == mac
        rotated = await alice.http.post(f"{HOOKS}/{hook['id']}/rotate-secret", json={})
        assert rotated.headers["cache-control"] == "no-store"
        new = rotated.json()["data"]["secret"]
        assert new not in (secret, "")
        await completed(world, alice, name="nightly 2")
        await deliver_due(world)
        mac = hmac.new(new.encode(), receiver.received[1].body, hashlib.sha256).hexdigest()
        assert receiver.received[1].headers["x-signature"] == mac


@on_asyncio
async def test_nobody_is_told_of_somebody_elses_tasks_nor_of_further_runs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        await made(mallory, receiver, events=["task.created", "task.completed"])
        await completed(world, alice)
        assert await deliver_due(world) == 0


@pytest.mark.both_databases
@on_asyncio
async def test_only_the_newest_progress_of_a_task_waits(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        await made(alice, receiver, events=["task.progress"])
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)

        async def progress(permille: int) -> None:
            data: dict[str, Any] = {"progress_permille": permille, "note": f"at {permille}"}
            await world.database.write(
                lambda conn: events.append(
                    conn, task_id, alice.account.id, world.now_ms, "task.progress", data
                )
            )

        await progress(100)
        await progress(200)
        assert await deliver_due(world) == 1
        await progress(300)
        assert await deliver_due(world) == 1
        seen = [json.loads(one.body)["data"] for one in receiver.received]
        assert [(one["progress"], one["progress_note"]) for one in seen] == [
            (20.0, "at 200"),
            (30.0, "at 300"),
        ]


@on_asyncio
async def test_what_is_about_no_task_is_told_with_its_own_data(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        await made(alice, receiver, events=["batch.finished"], filter={"about": ["batch_1"]})
        for batch in ("batch_1", "batch_2"):
            await world.database.write(
                events.append,
                batch,
                alice.account.id,
                world.now_ms,
                "batch.failed",
                {"batch_id": batch, "failed": 3},
            )
        assert await deliver_due(world) == 1
        message = json.loads(receiver.received[0].body)
        assert message["type"] == "batch.failed"
        assert message["data"]["failed"] == 3


@on_asyncio
async def test_a_slow_receiver_delays_nobody_elses_deliveries(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(webhook_delivery, "LOOK_S", 0.05)
    async with (
        open_world(tmp_path) as world,
        receiving(world) as slow,
        receiving(world) as quick,
    ):
        mallory, alice = await world.customer("mallory"), await world.customer("alice")
        slow.answers = [silence]
        for _ in range(4):
            await made(mallory, slow)
        for _ in range(10):
            await completed(world, mallory)
        await made(alice, quick)
        await completed(world, alice)
        running = asyncio.create_task(delivery_of(world).run())
        try:
            await quick.arrivals.acquire()
            # At one host no more at a time than are allowed.
            assert len(slow.received) <= webhook_delivery._PER_HOST
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@on_asyncio
async def test_an_attempt_has_an_end_however_the_receiver_drags(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(webhook_sender, "ATTEMPT_LIMIT_S", 0.2)

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 100_000)
        await writer.drain()

    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver, retries={"max_attempts": 5, "backoff_seconds": 1})
        receiver.answers = [silence, trickle, b"nonsense\r\n\r\n", flood]
        await completed(world, alice)
        for _ in range(4):
            assert await deliver_due(world) == 1
            world.now_ms += 60_000
        row = (await listed(alice.http, hook))["deliveries"][0]
        detail = (await alice.http.get(f"{HOOKS}/{hook['id']}/deliveries/{row['id']}")).json()[
            "data"
        ]
        errors = [one["error"] for one in detail["log"]]
        assert "no whole answer within" in errors[0]
        assert "no whole answer within" in errors[1]
        assert "breaks off" in errors[2]
        assert errors[3] == ""
        assert detail["log"][3]["answer"] == "y" * 1024


@on_asyncio
async def test_the_address_that_is_judged_is_the_one_that_is_dialled(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        await made(alice, receiver)
        # The operator takes the permission away, and the name leads inside now.
        del world.web.private[HOST, receiver.port]
        world.web.names[HOST] = [["127.0.0.1"]]
        await completed(world, alice)
        assert await deliver_due(world) == 1
        assert receiver.received == []


@pytest.mark.both_databases
@on_asyncio
async def test_old_deliveries_are_forgotten(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(webhook_delivery, "_KEPT", 2)
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver)
        for _ in range(4):
            await completed(world, alice)
        await deliver_due(world)
        await delivery_of(world).sweep()
        assert (await listed(alice.http, hook))["total"] == 2
        for days, left in ((29, 2), (31, 0)):
            at_ms = world.now_ms + days * DAY_MS
            await forget_once(world.database, RetentionConfig(), at_ms, pause_s=0)
            assert (await listed(alice.http, hook))["total"] == left


@on_asyncio
async def test_too_much_that_waits_disables_a_webhook(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(webhook_schedule, "WAITING_MAX", 1)
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice = await world.customer("alice")
        hook = await made(alice, receiver)
        await completed(world, alice)
        await completed(world, alice)
        await delivery_of(world).sweep()
        assert (await shown(alice.http, hook))["reason"] == "2 deliveries are waiting, and 1 may"


@pytest.mark.both_databases
@on_asyncio
async def test_changes_of_nodes_are_told_to_who_names_them_or_has_a_task_there(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world, receiving(world) as receiver:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        hook = await made(alice, receiver, events=["node.status"])
        named = await made(
            mallory, receiver, events=["node.status"], filter={"about": [node_id("two")]}
        )
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(task_id)
        keeping = asyncio.create_task(
            keep_node_status(
                world.database, world.nodes, world.feed, node_status_body, lambda: world.now_ms
            )
        )
        try:
            async with world.feed.subscribe() as stored:
                await asyncio.sleep(0)
                for name in ("one", "two"):
                    view = node_view(name)
                    await world.nodes.on_node(view.offer.node_id, "left", view)
                await stored.wait()
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        assert await deliver_due(world) == 2
        told = {
            message["webhook_id"]: message["data"]
            for message in (json.loads(one.body) for one in receiver.received)
        }
        assert told[hook["id"]]["node_id"] == node_id("one")
        assert told[named["id"]]["node_id"] == node_id("two")
        assert told[named["id"]]["status"] == "offline"
