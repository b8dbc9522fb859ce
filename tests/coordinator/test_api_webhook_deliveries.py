"""What becomes of telling a webhook: attempts, pauses, receivers that are slow or gone, and what is sent by hand."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.error_answers import check_error
from coordinator.hooks import HOOKS, completed, listed, made, shown
from coordinator.on_asyncio import on_asyncio
from coordinator.receiver import HOST, deliver_due, delivery_of, receiving, silence, status
from neurogrid_coordinator.config import RetentionConfig
from neurogrid_coordinator.retention import forget_once
from neurogrid_coordinator.store import events
from neurogrid_coordinator.webhooks import delivery as webhook_delivery
from neurogrid_coordinator.webhooks import schedule as webhook_schedule
from neurogrid_coordinator.webhooks import sender as webhook_sender

DAY_MS = 24 * 3_600_000


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
