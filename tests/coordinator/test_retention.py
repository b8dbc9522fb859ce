"""What is deleted of tasks that ended long ago, what never is, and what clients are told of it."""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Connection, delete, insert, select, update

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator import retention as retaining
from neurogrid_coordinator.config import RetentionConfig
from neurogrid_coordinator.files.checkpoints import BlobSweeper
from neurogrid_coordinator.retention import due, forget, forget_once, hours_of
from neurogrid_coordinator.store import failures, leases, retention
from neurogrid_coordinator.store.tables import evidence, receipts
from neurogrid_coordinator.store.tables import leases as lease_rows

pytestmark = pytest.mark.both_databases

DAY_MS = 24 * 3600 * 1000
WEEK = RetentionConfig(logs_days=7, outputs_days=7, events_days=7, deliveries_days=0)


async def ended_task(world: World, client: Customer, data: bytes = b"weights") -> str:
    """A task that printed a line, left a file and was paid."""
    answer = await client.http.post("/api/v1/tasks", json=TASK)
    task_id = str(answer.json()["data"]["id"])
    await world.start(task_id)
    await world.print(task_id, "a line\n")
    output = await world.upload(task_id, "model/weights.bin", data)
    await world.finish(task_id, output)
    await world.pay(task_id)
    return task_id


async def deleted_after(
    world: World, days: float, wanted: RetentionConfig = WEEK
) -> dict[str, int]:
    """Of the kinds that are not kept for ever, how many."""
    at_ms = int(world.now_ms + days * DAY_MS)
    said = await due(world.database, wanted, at_ms)
    deleted = await forget_once(world.database, wanted, at_ms, pause_s=0)
    assert said == deleted, "a dry run says what is done"
    await BlobSweeper(world.database, world.blobs).sweep()
    kept_for = hours_of(wanted)
    assert not [kind for kind, count in deleted.items() if count and not kept_for[kind]]
    assert not deleted.pop("answers"), "no replica has answered"
    return {kind: count for kind, count in deleted.items() if kept_for[kind]}


async def code_of(client: Customer, path: str) -> tuple[int, str]:
    answer = await client.http.get(path)
    return answer.status_code, answer.json()["error"]["code"]


@on_asyncio
async def test_what_is_old_goes_and_the_task_its_cost_and_its_receipt_stay(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await ended_task(world, alice)
        task = f"/api/v1/tasks/{task_id}"
        before = (await alice.http.get(task)).json()["data"]
        assert await deleted_after(world, 6.9) == {"logs": 0, "outputs": 0, "events": 0}
        assert (await alice.http.get(f"{task}/outputs/model/weights.bin")).content == b"weights"

        assert await deleted_after(world, 7.1) == {"logs": 1, "outputs": 1, "events": 1}
        for path in ("logs", "logs?offset=0", "logs?follow=true", "outputs/model/weights.bin"):
            assert await code_of(alice, f"{task}/{path}") == (410, "EXPIRED")
        after = (await alice.http.get(task)).json()["data"]
        assert (after["status"], after["cost_usdc"]) == (before["status"], before["cost_usdc"])
        assert (await alice.http.get(f"{task}/receipt")).json() == {"a": "receipt"}
        # What it was is still told, and whoever asks what happened hears that it has ended.
        listed = (await alice.http.get(f"{task}/outputs")).json()["data"]["outputs"]
        assert [output["path"] for output in listed] == ["model/weights.bin"]
        assert (await alice.http.get(f"{task}/events")).text.startswith("event: end")
        assert not [path for path in (tmp_path / "artifacts").glob("??/*") if path.is_file()]
        # There is nothing more to delete, however often it looks.
        assert await deleted_after(world, 400) == {"logs": 0, "outputs": 0, "events": 0}


@on_asyncio
async def test_each_kind_is_kept_for_as_long_as_is_said_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await ended_task(world, alice)
        only_logs = RetentionConfig(logs_days=1, deliveries_days=0)
        assert await deleted_after(world, 2, only_logs) == {"logs": 1}
        only_events = RetentionConfig(outputs_days=3, events_days=1, deliveries_days=0)
        assert await deleted_after(world, 2, only_events) == {"outputs": 0, "events": 1}


@on_asyncio
async def test_what_has_not_ended_keeps_everything_and_what_it_needs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await ended_task(world, alice)
        output = (await alice.http.get(f"/api/v1/tasks/{task_id}/outputs")).json()["data"]
        sha256 = output["outputs"][0]["sha256"]
        inputs = [{"path": "in.bin", "sha256": sha256}]
        reader = await alice.http.post("/api/v1/tasks", json={**TASK, "inputs": inputs})
        assert reader.status_code == 201, reader.text
        reader_id = reader.json()["data"]["id"]
        running = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(running)
        await world.print(running, "still here\n")
        assert await deleted_after(world, 30) == {"logs": 1, "outputs": 0, "events": 1}
        assert (await alice.http.get(f"/api/v1/tasks/{running}/logs")).status_code == 200
        # Once its reader has ended nobody needs it any more.
        await alice.http.delete(f"/api/v1/tasks/{reader_id}")
        assert (await deleted_after(world, 30))["outputs"] == 1


@on_asyncio
async def test_a_file_that_its_client_uploads_too_is_no_output_any_more(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        await ended_task(world, alice, b"same")
        await ended_task(world, mallory, b"same")
        sha256 = hashlib.sha256(b"same").hexdigest()
        uploaded = await alice.http.put(f"/api/v1/artifacts/{sha256}", content=b"same")
        assert uploaded.status_code == 200, uploaded.text
        # Alice's stays, and with it the bytes; Mallory has them no more.
        assert (await deleted_after(world, 30))["outputs"] == 1
        assert (await alice.http.get(f"/api/v1/artifacts/{sha256}")).content == b"same"
        gone: httpx.Response = await mallory.http.get(f"/api/v1/artifacts/{sha256}")
        assert gone.status_code == 404


@on_asyncio
async def test_more_than_one_transaction_holds_is_deleted_in_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_MAX", 2)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for number in range(5):
            await ended_task(world, alice, str(number).encode())
        assert await deleted_after(world, 30) == {"logs": 5, "outputs": 5, "events": 5}


@on_asyncio
async def test_evidence_goes_where_receipts_have_it_and_stays_where_money_may_need_it(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        paid = await ended_task(world, alice)
        unpaid = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(unpaid)
        await world.finish(unpaid)
        running = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        await world.start(running)
        without_receipt = await ended_task(world, alice, b"other weights")

        def prepare(conn: Connection) -> None:
            lost = leases.of_task(conn, without_receipt)[0]
            conn.execute(delete(receipts).where(receipts.c.lease_id == lost.id))
            conn.execute(update(lease_rows).values(escrow="of the chain"))
            for row in (row for each in every for row in leases.of_task(conn, each)):
                for subject_id in (row.id, row.lease.demand_id):
                    conn.execute(
                        insert(evidence).values(
                            subject_id=subject_id, kind="bid", envelope_json="{}"
                        )
                    )

        def subjects(conn: Connection) -> set[str]:
            return set(conn.scalars(select(evidence.c.subject_id)))

        def of(conn: Connection, task_id: str) -> set[str]:
            rows = leases.of_task(conn, task_id)
            return {row.id for row in rows} | {row.lease.demand_id for row in rows}

        every = (paid, unpaid, running, without_receipt)
        await world.database.write(lambda conn: conn.execute(delete(evidence)))
        await world.database.write(prepare)
        wanted = RetentionConfig(evidence_days=7, deliveries_days=0)
        assert await deleted_after(world, 6.9, wanted) == {"evidence": 0}
        assert await deleted_after(world, 7.1, wanted) == {"evidence": 1}
        left = await world.database.read(subjects)
        for task_id in (unpaid, running, without_receipt):
            assert await world.database.read(of, task_id) <= left
        assert not await world.database.read(of, paid) & left
        assert (await alice.http.get(f"/api/v1/tasks/{paid}/receipt")).json() == {"a": "receipt"}
        assert await deleted_after(world, 400, wanted) == {"evidence": 0}


@on_asyncio
async def test_failures_go_by_age(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        def add(conn: Connection) -> None:
            for days, whose in ((0.0, alice.account.id), (3.0, None)):
                failures.add(
                    conn,
                    at_ms=int(world.now_ms + days * DAY_MS),
                    account_id=whose,
                    severity="error",
                    code="INTERNAL",
                    message="a defect",
                    context={},
                    stack="",
                )

        await world.database.write(add)
        wanted = RetentionConfig(failures_days=7, deliveries_days=0)
        assert await deleted_after(world, 8, wanted) == {"failures": 1}
        assert await deleted_after(world, 11, wanted) == {"failures": 1}


@on_asyncio
async def test_one_look_is_bounded_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH_MAX", 1)
    monkeypatch.setattr(retaining, "TRANSACTIONS_MAX", 4)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        for number in range(3):
            await ended_task(world, alice, str(number).encode())
        at_ms = int(world.now_ms + 30 * DAY_MS)
        said = await due(world.database, WEEK, at_ms)
        assert {said[kind] for kind in ("logs", "outputs", "events")} == {3}
        looks = [await forget_once(world.database, WEEK, at_ms, pause_s=0) for _ in range(4)]
        # No kind waits until another one is done.
        assert min(looks[0][kind] for kind in ("logs", "outputs", "events")) >= 1
        assert [sum(look.values()) for look in looks] == [6, 3, 0, 0]


@on_asyncio
async def test_what_is_deleted_is_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await ended_task(world, await world.customer("alice"))
        pruned: Counter[str] = Counter()
        at_ms = int(world.now_ms + 30 * DAY_MS)
        forgetting = asyncio.create_task(forget(world.database, WEEK, lambda: at_ms, pruned))
        async with asyncio.timeout(60):
            while not pruned["events"]:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)
        forgetting.cancel()
        await asyncio.gather(forgetting, return_exceptions=True)
        assert (pruned["logs"], pruned["evidence"]) == (1, 0)
