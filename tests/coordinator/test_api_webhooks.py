"""Webhooks as their owners see them: made over REST, delivered to a receiver of the test's."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, node_view, open_world
from coordinator.error_answers import check_error
from coordinator.hooks import HOOKS, completed, listed, made, shown
from coordinator.on_asyncio import on_asyncio
from coordinator.receiver import deliver_due, delivery_of, receiving
from coordinator.records import node_id
from neurogrid_coordinator.api.event_views import node_status_body
from neurogrid_coordinator.store import events
from neurogrid_coordinator.webhooks.nodes import keep_node_status


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
