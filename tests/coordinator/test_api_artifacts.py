import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.served import served
from neurogrid_coordinator.api import body
from neurogrid_coordinator.api.last_word import DRAINED_BYTES_MAX
from neurogrid_coordinator.files import disk_blobs
from neurogrid_coordinator.services.artifacts import UPLOADS_PER_ACCOUNT, Artifacts, Limits
from neurogrid_coordinator.services.errors import Conflict
from neurogrid_coordinator.store import checkpoints
from neurogrid_coordinator.store.tables import artifacts, batches

DATA = b"some input of a job"
DIGEST = hashlib.sha256(DATA).hexdigest()
URL = f"/api/v1/artifacts/{DIGEST}"


@on_asyncio
async def test_an_artifact_is_stored_once_and_read_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        assert (await alice.http.head(URL)).status_code == 404
        first = await alice.http.put(URL, content=DATA)
        assert first.status_code == 201
        assert first.json()["data"] == {"sha256": DIGEST, "size": len(DATA), "created": True}
        again = await alice.http.put(URL, content=DATA)
        assert (again.status_code, again.json()["data"]["created"]) == (200, False)
        head = await alice.http.head(URL)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(DATA)))
        assert head.content == b""
        assert (await alice.http.get(URL)).content == DATA
        part = await alice.http.get(URL, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, b"input")


@on_asyncio
async def test_what_a_client_has_uploaded_it_deletes_and_other_accounts_keep_theirs(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path, limits=Limits(file_bytes=100, account_bytes=100)) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        for each in (alice, bob):
            assert (await each.http.put(URL, content=DATA)).status_code == 201
        gone = await alice.http.delete(URL)
        assert (gone.status_code, gone.json()["data"]) == (200, {"sha256": DIGEST})
        assert (await alice.http.get(URL)).status_code == 404
        assert (await alice.http.delete(URL)).status_code == 404
        assert (await bob.http.get(URL)).content == DATA
        # Nobody has it any more, and there is room for another.
        large = bytes(95)
        other = f"/api/v1/artifacts/{hashlib.sha256(large).hexdigest()}"
        assert (await alice.http.put(other, content=large)).status_code == 201
        assert (await bob.http.delete(URL)).status_code == 200
        assert await world.database.read(checkpoints.unneeded) == [DIGEST]
        assert (await alice.http.put(URL, content=DATA)).status_code == 413
        assert (await alice.http.delete(f"{URL[:-1]}g")).status_code == 422


@pytest.mark.both_databases
@on_asyncio
async def test_what_something_still_needs_is_not_deleted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        bob = await world.customer("bob")
        file = await bob.http.put(URL, content=DATA)
        inputs = [{"path": "data.csv", "sha256": DIGEST}]

        async def made(path: str, body: Any, of: str) -> str:
            answer = await alice.http.post(f"/api/v1/{path}", json=body)
            assert answer.status_code == 201, answer.text
            found: str = answer.json()["data"][of]
            return found

        async def refused(why: str) -> None:
            answer = await alice.http.delete(URL)
            assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CONFLICT")
            assert why in answer.json()["error"]["message"]

        assert (await alice.http.put(URL, content=DATA)).status_code == 201
        task_id = await made("tasks", {**TASK, "inputs": inputs}, "id")
        await refused("a task that has not ended")
        await alice.http.delete(f"/api/v1/tasks/{task_id}")
        batch = {"name": "one", "tasks": [{**TASK, "inputs": inputs}]}
        batch_id = await made("batches", batch, "id")
        await refused(batch_id)
        await alice.http.post(f"/api/v1/batches/{batch_id}/cancel")
        await world.database.write(_ended, batch_id)
        schedule = {"name": "one", "schedule": "0 0 1 1 *", "task": {**TASK, "inputs": inputs}}
        schedule_id = await made("scheduled-tasks", schedule, "id")
        await refused(schedule_id)
        assert (await alice.http.delete(f"/api/v1/scheduled-tasks/{schedule_id}")).is_success
        named = await alice.http.post(
            "/v1/files", files={"file": ("lines.jsonl", DATA)}, data={"purpose": "batch"}
        )
        await refused(named.json()["id"])
        assert (await alice.http.delete(f"/v1/files/{named.json()['id']}")).is_success
        assert (await alice.http.delete(URL)).status_code == 200
        # Of all that, nothing was the other account's.
        assert file.status_code == 201
        assert (await bob.http.delete(URL)).status_code == 200


def _ended(conn: Connection, batch_id: str) -> None:
    """As the runner of batches leaves one that was cancelled."""
    conn.execute(update(batches).where(batches.c.id == batch_id).values(ended_at_ms=1))


@on_asyncio
async def test_what_a_task_has_written_and_weights_of_models_are_not_deleted(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(URL, content=DATA)
        own = Artifacts(
            database=world.database,
            blobs=world.blobs,
            tokens=world.tokens,
            limits=Limits(100, 100),
            weights=(DIGEST,),
        )
        with pytest.raises(Conflict, match="weights"):
            await own.delete(alice.account, DIGEST)
        await world.database.write(_by_a_lease)
        refused = await alice.http.delete(URL)
        assert (refused.status_code, "is an output" in refused.text) == (409, True)
        # Who uploads the same bytes has them as its own.
        assert (await alice.http.put(URL, content=DATA)).status_code == 200
        assert (await alice.http.delete(URL)).status_code == 200


def _by_a_lease(conn: Connection) -> None:
    conn.execute(update(artifacts).values(lease_id="lease_gone"))


@on_asyncio
async def test_wrong_hashes_and_names_are_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wrong = await alice.http.put(URL, content=b"other bytes")
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "INVALID_REQUEST")
        assert (await alice.http.head(URL)).status_code == 404
        for name in ("ABC", "0" * 63, "g" * 64, "0" * 64 + "%0A"):
            answer = await alice.http.put(f"/api/v1/artifacts/{name}", content=b"")
            assert answer.status_code == 422, name
        assert (await alice.http.put("/api/v1/artifacts/..%2Fx", content=b"")).status_code == 404


@on_asyncio
async def test_files_and_accounts_have_limits(tmp_path: Path) -> None:
    async with open_world(tmp_path, limits=Limits(file_bytes=1000, account_bytes=1500)) as world:
        alice = await world.customer("alice")

        async def too_much() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 100

        answer = await alice.http.put(URL, content=too_much())
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (413, "PAYLOAD_TOO_LARGE")
        assert error["details"] == {"limit_bytes": 1000}
        for letter, status in ((b"a", 201), (b"b", 413)):
            data = letter * 1000
            url = f"/api/v1/artifacts/{hashlib.sha256(data).hexdigest()}"
            assert (await alice.http.put(url, content=data)).status_code == status
        bob = await world.customer("bob")
        assert (await bob.http.put(url, content=b"b" * 1000)).status_code == 201


@on_asyncio
async def test_what_is_announced_as_too_large_is_refused_unread(tmp_path: Path) -> None:
    async with open_world(tmp_path, limits=Limits(file_bytes=1000, account_bytes=1500)) as world:
        alice = await world.customer("alice")

        async def never() -> AsyncIterator[bytes]:
            raise AssertionError("read")
            yield b""

        announced = {"Content-Length": str(DRAINED_BYTES_MAX + 1)}
        answer = await alice.http.put(URL, content=never(), headers=announced)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")


@on_asyncio
async def test_who_sends_everything_before_it_reads_is_told_that_it_is_too_large(
    tmp_path: Path,
) -> None:
    async with (
        open_world(tmp_path, limits=Limits(file_bytes=1000, account_bytes=1500)) as world,
        served(world) as address,
    ):
        alice = await world.customer("alice")
        host, _, port = address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        size_bytes = 8 * 1024 * 1024
        writer.write(
            f"PUT {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {alice.key}\r\n"
            f"Content-Length: {size_bytes}\r\n\r\n".encode()
        )
        for _ in range(8):
            writer.write(bytes(size_bytes // 8))
            await writer.drain()
            await asyncio.sleep(0.01)
        # The end of the connection, too, is an end and no reset.
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"PAYLOAD_TOO_LARGE" in answer
        writer.close()


@on_asyncio
async def test_a_stuck_upload_is_given_up_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "SILENCE_S", 0.05)
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")

        async def stuck() -> AsyncIterator[bytes]:
            yield b"some"
            await asyncio.sleep(60)

        answer = await alice.http.put(URL, content=stuck())
        assert answer.status_code == 422
        assert "stopped arriving" in answer.json()["error"]["message"]
        assert list((tmp_path / "artifacts" / "partial").iterdir()) == []


@on_asyncio
async def test_uploads_that_stand_still_keep_no_other_account_from_its_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        begun = asyncio.Semaphore(0)

        async def still() -> AsyncIterator[bytes]:
            begun.release()
            yield b"some"
            await asyncio.sleep(60)

        slow = [
            asyncio.create_task(alice.http.put(URL, content=still()))
            for _ in range(disk_blobs.UPLOADS_MAX + 10)
        ]
        for _ in range(UPLOADS_PER_ACCOUNT):
            await begun.acquire()
        async with asyncio.timeout(60):
            assert (await bob.http.put(URL, content=DATA)).status_code == 201
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        async with asyncio.timeout(60):
            assert (await alice.http.put(URL, content=DATA)).status_code == 201


@on_asyncio
async def test_a_blob_that_is_lost_is_said_so_before_an_answer_begins(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(URL, content=DATA)
        await world.blobs.remove(DIGEST)
        answer = await alice.http.get(URL)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
        assert (await alice.http.put(URL, content=DATA)).status_code == 200
        assert (await alice.http.get(URL)).content == DATA


@on_asyncio
async def test_an_artifact_of_somebody_else_does_not_exist(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, mallory = await world.customer("alice"), await world.customer("mallory")
        await alice.http.put(URL, content=DATA)
        assert (await mallory.http.get(URL)).status_code == 404
        assert (await mallory.http.head(URL)).status_code == 404
        inputs = [{"path": "a", "sha256": DIGEST}]
        answer = await mallory.http.post("/api/v1/tasks", json=TASK | {"inputs": inputs})
        assert answer.status_code == 422
        # The bytes lie here once, but each account brings its own.
        assert (await mallory.http.put(URL, content=DATA)).status_code == 201


@on_asyncio
async def test_a_leases_token_opens_its_inputs_and_takes_its_outputs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(URL, content=DATA)
        other = b"not for this job"
        other_url = f"/api/v1/artifacts/{hashlib.sha256(other).hexdigest()}"
        await alice.http.put(other_url, content=other)
        inputs = [{"path": "data/input.txt", "sha256": DIGEST}]
        resources = {"cpu_cores": 1, "storage_gb": 0.01}
        wanted = TASK | {"inputs": inputs, "resource_requirements": resources}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert task["inputs"] == [{"path": "data/input.txt", "sha256": DIGEST, "size": len(DATA)}]
        state = await world.start(task["id"])
        assert state.lease is not None
        node = world.client(world.tokens.token(state.lease.lease_id))
        assert (await node.get(URL)).content == DATA
        assert (await node.get(other_url)).status_code == 404
        output = b"a result"
        output_url = f"/api/v1/artifacts/{hashlib.sha256(output).hexdigest()}"
        assert (await node.head(output_url)).status_code == 404
        assert (await node.put(output_url, content=output)).status_code == 201
        assert (await node.head(output_url)).status_code == 200
        # The output belongs to the task's owner.
        assert (await alice.http.get(output_url)).content == output
        # It opens nothing else.
        for method, path in [
            ("GET", "/api/v1/tasks"),
            ("GET", f"/api/v1/tasks/{task['id']}"),
            ("DELETE", f"/api/v1/tasks/{task['id']}"),
            ("GET", "/api/v1/account"),
        ]:
            assert (await node.request(method, path)).status_code == 401, path
        # With its lease it ends.
        await world.finish(task["id"])
        await world.pay(task["id"])
        assert (await node.get(URL)).status_code == 403
        assert (await node.put(output_url, content=output)).status_code == 403


@on_asyncio
async def test_a_lease_may_upload_what_its_task_asked_for_and_no_more(tmp_path: Path) -> None:
    limits = Limits(file_bytes=50_000_000, account_bytes=100_000_000)
    async with open_world(tmp_path, limits=limits) as world:
        alice = await world.customer("alice")
        resources = {"cpu_cores": 1, "storage_gb": 0.01}
        wanted = TASK | {"resource_requirements": resources}
        task_id = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]["id"]
        state = await world.start(task_id)
        assert state.lease is not None
        node = world.client(world.tokens.token(state.lease.lease_id))
        for letter, status in ((b"a", 201), (b"b", 413)):
            data = letter * 6_000_000
            url = f"/api/v1/artifacts/{hashlib.sha256(data).hexdigest()}"
            assert (await node.put(url, content=data)).status_code == status


@on_asyncio
async def test_forged_tokens_open_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        lease_id = "lease_" + "0" * 32
        good = world.tokens.token(lease_id)
        forged = good[:-1] + ("0" if good[-1] != "0" else "1")
        for token in (good, forged, lease_id, f"{lease_id}."):
            # The first is signed by us, but there is no such lease.
            assert (await world.client(token).get(URL)).status_code == 401
            assert (await world.client(token).put(URL, content=DATA)).status_code == 401
