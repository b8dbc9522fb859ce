"""Checkpoints at the coordinator: whole or not there, the task's own, and gone with it."""

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.files.checkpoints import BlobSweeper, CheckpointDesk
from neurogrid_coordinator.store import checkpoints, events, leases
from neurogrid_coordinator.store.leases import LeaseRow
from neurogrid_coordinator.tasks import node_messages
from neurogrid_coordinator.tasks.node_messages import Taken
from neurogrid_marketplace.awarding import demand_of
from neurogrid_marketplace.checkpoint import Checkpoint
from neurogrid_marketplace.checkpoint_manifest import Manifest, manifest_of
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.messages import CheckpointTaken, Result
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.task_events import CancelRequested, Finished

PLAN = {"path": "/work", "interval_seconds": 60, "keep": 1}
KEPT = TASK | {"checkpoint": PLAN}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Run:
    """A task that runs, as its node sees it."""

    def __init__(self, world: World, task_id: str, lease: LeaseRow) -> None:
        self.world = world
        self.task_id = task_id
        self.lease = lease
        self.http = world.client(world.tokens.token(lease.id))

    async def put(self, data: bytes) -> httpx.Response:
        url = f"/api/v1/artifacts/{digest(data)}/checkpoint"
        there = await self.http.head(url)
        return there if there.status_code == 200 else await self.http.put(url, content=data)

    async def upload(self, sequence: int, but: str = "", /, **files: bytes) -> Checkpoint:
        """Everything of a checkpoint but one file, or "manifest"."""
        for name, data in files.items():
            if name != but:
                assert (await self.put(data)).status_code in (200, 201)
        manifest = manifest_of([OutputFile(n, digest(d), len(d)) for n, d in files.items()])
        if but != "manifest":
            assert (await self.put(manifest.encoded())).status_code in (200, 201)
        return manifest.checkpoint(sequence)

    async def report(self, checkpoint: Checkpoint) -> int:
        """The number that its coordinator has kept."""

        listed = await CheckpointDesk(self.world.blobs).manifest(checkpoint)

        def take(conn: Any) -> Taken:
            return node_messages.take_checkpoint(
                conn,
                self.lease.node_id,
                CheckpointTaken(self.lease.id, checkpoint),
                self.world.now_ms,
                listed,
            )

        taken = await self.world.database.write(take)
        (answer,) = taken.answers
        return int(getattr(answer, "checkpoint", -1))

    async def kept(self) -> list[int]:
        state = await self.world.state(self.task_id)
        return [each.checkpoint.sequence for each in state.checkpoints]


async def submitted(alice: Customer, **changes: Any) -> str:
    answer = await alice.http.post("/api/v1/tasks", json=KEPT | changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["data"]["id"])


async def running(world: World, task_id: str) -> Run:
    await world.start(task_id)
    rows = await world.database.read(lambda conn: leases.of_task(conn, task_id))
    return Run(world, task_id, rows[-1])


async def blobs_of(world: World) -> set[str]:
    """What is on the disk, once nothing unneeded is."""
    while await BlobSweeper(world.database, world.blobs).sweep():
        pass
    folder = world.blobs_folder
    return {path.name for path in folder.glob("??/*")}


@on_asyncio
async def test_a_request_becomes_a_job_and_asks_for_nodes_that_can(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task_id = await submitted(alice)
        task = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
        assert task["checkpoint"] == PLAN
        assert task["checkpoints"] == []
        assert task["constraints"] == "runtime has checkpoint"
        state = await world.state(task_id)
        assert demand_of(state).where
        assert state.checkpoint is not None


@on_asyncio
@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"checkpoint": {"path": "/tmp/x"}}, "checkpoint.path"),
        ({"checkpoint": {"path": "relative"}}, "checkpoint.path"),
        ({"checkpoint": {"path": "/a/../b"}}, "checkpoint.path"),
        ({"checkpoint": {"interval_seconds": 9}}, "checkpoint.interval_seconds"),
        ({"checkpoint": {"keep": 9}}, "checkpoint.keep"),
        ({"checkpoint": {}, "gang": {"size": 2}}, "checkpoint"),
        ({"resume_from": {"task": "task_" + "0" * 32}}, "resume_from"),
        ({"resume_from": {"task": "nonsense"}}, "resume_from.task"),
        (
            {"resume_from": {"task": "task_" + "0" * 32}, "verification": {"mode": "quorum"}},
            "resume_from",
        ),
    ],
)
async def test_what_cannot_be_kept_is_refused(
    tmp_path: Path, wanted: dict[str, Any], field: str
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=TASK | wanted)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["error"]["message"]


@on_asyncio
async def test_sealed_inputs_do_not_go_with_checkpoints(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        await alice.http.put(f"/api/v1/artifacts/{digest(b'x')}", content=b"x")
        sealed = {"path": "x", "sha256": digest(b"x"), "sealed": True}
        answer = await alice.http.post("/api/v1/tasks", json=KEPT | {"inputs": [sealed]})
        assert answer.status_code == 422
        assert "sealed inputs" in answer.text


@on_asyncio
async def test_a_checkpoint_is_kept_once_all_of_it_is_here_and_only_then(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        run = await running(world, await submitted(alice))
        for number, missing in enumerate(("a", "b", "manifest"), 1):
            texts = {"a": b"a%d" % number, "b": b"b%d" % number}
            half = await run.upload(number, missing, **texts)
            assert await run.report(half) == 0
        assert await run.kept() == []
        whole = await run.upload(9, a=b"1", b=b"2")
        assert await run.report(whole) == 9
        assert await run.report(whole) == 9
        assert await run.kept() == [9]
        task = (await alice.http.get(f"/api/v1/tasks/{run.task_id}")).json()["data"]
        (shown,) = task["checkpoints"]
        assert (shown["sequence"], shown["files"], shown["size"]) == (9, 2, 2)
        told = await world.database.read(events.after, 0, task_id=run.task_id)
        assert [each.data["sequence"] for each in told if each.kind == events.CHECKPOINT] == [9]


@on_asyncio
async def test_a_manifest_that_lies_keeps_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        run = await running(world, await submitted(await world.customer("alice")))
        await run.put(b"four")
        for lie in (
            Manifest((OutputFile("a", digest(b"four"), 5),)),
            Manifest((OutputFile("a", digest(b"gone"), 4),)),
            Manifest((OutputFile("a", digest(b"four"), 4), OutputFile("a/b", digest(b"four"), 4))),
        ):
            await run.put(lie.encoded())
            assert await run.report(lie.checkpoint(1)) == 0
        assert await run.kept() == []


@on_asyncio
async def test_only_the_newest_stay_and_their_files_with_them(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        run = await running(world, await submitted(await world.customer("alice")))
        first = await run.upload(1, same=b"same", old=b"old")
        assert await run.report(first) == 1
        second = await run.upload(2, same=b"same", new=b"new")
        assert await run.report(second) == 2
        assert await run.kept() == [2]
        wanted = {digest(b"same"), digest(b"new"), second.manifest_sha256}
        assert await blobs_of(world) == wanted
        # A late word of the first brings nothing back.
        assert await run.report(first) == 2


@on_asyncio
async def test_a_file_that_somebody_else_has_stays(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        run = await running(world, await submitted(alice))
        await run.report(await run.upload(1, a=b"everybody's", b=b"mine"))
        url = f"/api/v1/artifacts/{digest(b'everybody' + bytes([39]) + b's')}"
        # It is nobody's before it is uploaded: not alice's own either.
        assert (await bob.http.get(url)).status_code == 404
        assert (await alice.http.get(url)).status_code == 404
        await bob.http.put(url, content=b"everybody's")
        await run.report(await run.upload(2, c=b"c"))
        assert digest(b"mine") not in await blobs_of(world)
        assert (await bob.http.get(url)).content == b"everybody's"


@on_asyncio
async def test_a_result_and_what_its_run_kept_are_one_step(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        run = await running(world, await submitted(alice))
        left = await run.upload(3, state=b"42")
        result = Result(Outcome.NODE_LOST, -1, "", 1, checkpoint=left)
        listed = await CheckpointDesk(world.blobs).manifest(left)

        def take(conn: Any) -> Any:
            return node_messages._take_finished(conn, run.lease, result, world.now_ms, listed)

        step = await world.database.write(take)
        assert step.after.phase is Phase.QUEUED
        assert await run.kept() == [3]
        again = await world.award(run.task_id)
        assert again.lease is not None
        assert again.lease.resumed == left
        # The next lease may read it, and no other's.
        node = world.client(world.tokens.token(again.lease.lease_id))
        url = f"/api/v1/artifacts/{digest(b'42')}/checkpoint"
        assert (await node.get(url)).content == b"42"
        assert (await node.head(url)).status_code == 200
        assert (await run.http.get(url)).status_code == 403
        assert (await run.put(b"more")).status_code == 403
        other = await running(world, await submitted(await world.customer("bob")))
        assert (await other.http.get(url)).status_code == 404


@on_asyncio
async def test_a_result_with_half_a_checkpoint_is_taken_without_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        run = await running(world, await submitted(await world.customer("alice")))
        half = await run.upload(3, "state", state=b"42")
        result = Result(Outcome.NODE_LOST, -1, "", 1, checkpoint=half)
        listed = await CheckpointDesk(world.blobs).manifest(half)

        def take(conn: Any) -> Any:
            return node_messages._take_finished(conn, run.lease, result, world.now_ms, listed)

        step = await world.database.write(take)
        assert step.after.phase is Phase.QUEUED
        assert step.after.checkpoints == ()


@on_asyncio
async def test_a_lease_that_the_task_goes_on_without_keeps_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        run = await running(world, await submitted(await world.customer("alice")))
        late = await run.upload(7, a=b"late")
        lost = Finished(run.lease.id, Result(Outcome.NODE_LOST, -1, "", 1))
        await world.step(run.task_id, lost)
        await world.start(run.task_id)
        assert await run.report(late) == 0
        assert await run.kept() == []


@on_asyncio
async def test_a_task_may_have_so_much_and_the_account_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        small = TASK["resource_requirements"] | {"storage_gb": 0.01}  # type: ignore[operator]  # a mapping
        run = await running(world, await submitted(alice, resource_requirements=small))
        for number in range(3):
            assert (await run.put(bytes([number]) * 900_000)).status_code == 201
        # 2.7 of the account's 3 MB are taken; a file of a task's own counts against the same.
        assert (await run.put(b"x" * 900_000)).status_code == 413
        own = b"y" * 900_000
        answer = await alice.http.put(f"/api/v1/artifacts/{digest(own)}", content=own)
        assert answer.status_code == 413
        plain = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        assert (await (await running(world, plain)).put(b"z")).status_code == 403


@on_asyncio
async def test_its_owner_sees_and_fetches_them_and_nobody_else_does(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        run = await running(world, await submitted(alice))
        await run.report(await run.upload(4, a=b"one", b=b"two"))
        url = f"/api/v1/tasks/{run.task_id}/checkpoints"
        (listed,) = (await alice.http.get(url)).json()["data"]["checkpoints"]
        assert (listed["sequence"], listed["lease_id"]) == (4, run.lease.id)
        files = (await alice.http.get(f"{url}/4")).json()["data"]["files"]
        assert [(file["path"], file["size"]) for file in files] == [("a", 3), ("b", 3)]
        assert (await alice.http.get(f"{url}/4/files/b")).content == b"two"
        for path in ("", "/4", "/4/files/b"):
            assert (await bob.http.get(url + path)).status_code == 404
        for path in ("/5", "/4/files/c", "/5/files/a"):
            assert (await alice.http.get(url + path)).status_code == 404


@on_asyncio
async def test_another_task_begins_from_one_and_outlives_its_deletion(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        run = await running(world, await submitted(alice))
        kept = await run.upload(4, a=b"one")
        await run.report(kept)
        source = {"resume_from": {"task": run.task_id}}
        answer = await bob.http.post("/api/v1/tasks", json=TASK | source)
        assert answer.status_code == 422
        wrong = {"resume_from": {"task": run.task_id, "sequence": 3}}
        answer = await alice.http.post("/api/v1/tasks", json=TASK | wrong)
        assert "there are: 4" in answer.text
        key = {"Idempotency-Key": "one"}
        answer = await alice.http.post("/api/v1/tasks", json=TASK | source, headers=key)
        assert answer.status_code == 201, answer.text
        task = answer.json()["data"]
        assert task["checkpoint"]["path"] == "/checkpoint"
        assert task["checkpoints"][0]["lease_id"] is None
        again = await alice.http.post("/api/v1/tasks", json=TASK | source, headers=key)
        assert again.json()["data"]["id"] == task["id"]

        await world.step(run.task_id, CancelRequested())
        await world.step(run.task_id, Finished(run.lease.id, Result(Outcome.CANCELLED, -1, "", 1)))
        await world.pay(run.task_id)
        deleted = await alice.http.delete(f"/api/v1/tasks/{run.task_id}")
        assert deleted.json()["data"]["result"] == "deleted", deleted.text
        assert digest(b"one") in await blobs_of(world)
        lease = (await world.award(task["id"])).lease
        assert lease is not None
        assert lease.resumed == kept
        node = world.client(world.tokens.token(lease.lease_id))
        url = f"/api/v1/artifacts/{digest(b'one')}/checkpoint"
        assert (await node.get(url)).content == b"one"


@on_asyncio
async def test_what_a_task_has_kept_goes_with_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        run = await running(world, await submitted(alice))
        await run.report(await run.upload(4, a=b"one"))
        await run.put(b"never reported")
        await world.finish(run.task_id)
        await world.pay(run.task_id)
        assert digest(b"one") in await blobs_of(world)
        await alice.http.delete(f"/api/v1/tasks/{run.task_id}")
        assert await blobs_of(world) == set()
        left = await world.database.read(checkpoints.task_usage, run.task_id)
        assert left == (0, 0)


@on_asyncio
async def test_a_disk_that_is_too_small_for_it_is_refused(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        run = await running(world, await submitted(alice))
        big = {str(number): bytes([number]) * 900_000 for number in range(3)}
        big |= {f"again{number}": bytes([number]) * 900_000 for number in range(3)}
        big |= {f"more{number}": bytes([number]) * 900_000 for number in range(3)}
        big |= {f"most{number}": bytes([number]) * 900_000 for number in range(3)}
        await run.report(await run.upload(1, **big))
        small = TASK["resource_requirements"] | {"storage_gb": 0.01}  # type: ignore[operator]  # a mapping
        wanted = {"resume_from": {"task": run.task_id}, "resource_requirements": small}
        answer = await alice.http.post("/api/v1/tasks", json=TASK | wanted)
        assert answer.status_code == 422
        assert "storage_gb" in answer.text
