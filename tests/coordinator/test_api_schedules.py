import asyncio
import csv
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.crashing_database import CrashingDatabase
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator import restored
from neurogrid_coordinator.store import events
from neurogrid_coordinator.store.tables import batches as batches_table

SCHEDULES = "/api/v1/scheduled-tasks"
JOB = TASK | {"max_price_per_hour": "1.00"}
EVERY_MINUTE: dict[str, Any] = {"name": "Report", "schedule": "* * * * *", "task": JOB}
MINUTE_MS = 60_000
# Starting one run of a schedule takes fewer commits than this.
_COMMITS = 8


async def send(customer: Customer, body: dict[str, Any], **headers: str) -> httpx.Response:
    return await customer.http.post(SCHEDULES, json=body, headers=headers)


async def made(customer: Customer, **changes: Any) -> dict[str, Any]:
    answer = await send(customer, EVERY_MINUTE | changes)
    assert answer.status_code == 201, answer.text
    schedule = answer.json()["data"]
    assert isinstance(schedule, dict)
    return schedule


async def show(customer: Customer, schedule_id: str) -> dict[str, Any]:
    answer = await customer.http.get(f"{SCHEDULES}/{schedule_id}")
    assert answer.status_code == 200, answer.text
    shown = answer.json()["data"]
    assert isinstance(shown, dict)
    return shown


async def runs(customer: Customer, schedule_id: str) -> list[dict[str, Any]]:
    """Oldest first."""
    answer = await customer.http.get(f"{SCHEDULES}/{schedule_id}/runs")
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]["runs"]
    assert isinstance(found, list)
    return found[::-1]


def unix_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


async def turn(world: World, schedule: dict[str, Any], minutes: int = 0) -> None:
    """Set the clock to a schedule's next time, and so many minutes more."""
    world.now_ms = unix_ms(schedule["next_run"]) + minutes * MINUTE_MS


async def work(world: World, customer: Customer) -> None:
    """Run everything that waits in the market to its end, and let batches and runs notice."""
    runner, scheduler = world.batch_runner(), world.scheduler()
    await runner.look()
    listed = (await customer.http.get("/api/v1/tasks?status=pending&limit=100")).json()["data"]
    for task in listed["tasks"]:
        await world.start(task["id"])
        await world.finish(task["id"])
    await runner.look()
    await scheduler.look()


@on_asyncio
async def test_a_schedule_runs_its_task_when_it_is_due(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await send(alice, EVERY_MINUTE)
        schedule = answer.json()["data"]
        assert answer.headers["location"] == f"{SCHEDULES}/{schedule['id']}"
        assert (schedule["is_active"], schedule["last_run"]) == (True, None)
        scheduler = world.scheduler()
        await scheduler.look()
        assert await runs(alice, schedule["id"]) == []
        await turn(world, schedule)
        await scheduler.look()
        (run,) = await runs(alice, schedule["id"])
        assert run["status"] == "running"
        assert run["due_at"] == schedule["next_run"]
        now = await show(alice, schedule["id"])
        assert now["last_run"] == schedule["next_run"]
        assert unix_ms(now["next_run"]) == unix_ms(schedule["next_run"]) + MINUTE_MS
        # Looked at again and again, by this process or another one, it is one run.
        await asyncio.gather(scheduler.look(), world.scheduler().look())
        await work(world, alice)
        (run,) = await runs(alice, schedule["id"])
        assert (run["status"], run["cost_usdc"]) == ("completed", "0.001")
        batch = (await alice.http.get(f"/api/v1/batches/{run['batch_id']}")).json()["data"]
        assert batch["name"].startswith("Report 20")
        stored = await world.database.read(
            lambda conn: events.after(conn, 0, task_id=schedule["id"])
        )
        assert [event.kind for event in stored] == ["scheduled_task.executed"]
        assert stored[0].data["status"] == "completed"


@pytest.mark.both_databases
@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("at_commit", range(1, _COMMITS))
@on_asyncio
async def test_a_kill_at_any_commit_makes_one_run_and_one_batch(
    tmp_path: Path, at_commit: int, before: bool
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice)
        await turn(world, schedule)
        dying: Any = CrashingDatabase(world.database, at_commit, before=before)
        look = asyncio.create_task(world.scheduler(dying).look())
        end = asyncio.create_task(dying.dead.wait())
        await asyncio.wait({look, end}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        # Nobody cleans up after a kill: what would is stopped, too.
        while not look.done():
            look.cancel()
            await asyncio.sleep(0)
        await world.scheduler().look()
        await world.scheduler().look()
        (run,) = await runs(alice, schedule["id"])
        assert run["status"] == "running"
        listed = (await alice.http.get("/api/v1/batches")).json()["data"]
        assert [batch["id"] for batch in listed["batches"]] == [run["batch_id"]]
        await work(world, alice)
        assert [run["status"] for run in await runs(alice, schedule["id"])] == ["completed"]
        visible = select(func.count()).select_from(batches_table)
        left = await world.database.read(
            lambda conn: conn.scalar(visible.where(batches_table.c.state == "completed"))
        )
        assert left == 1


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [("skip", ["skipped"]), ("once", ["skipped", "running"]), ("all", ["running"] * 5)],
)
@on_asyncio
async def test_what_was_missed_is_made_up_for_as_its_owner_said(
    tmp_path: Path, policy: str, wanted: list[str]
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {"schedule": "*/10 * * * *", "missed": policy, "overlap": "allow"}
        schedule = await made(alice, **body)
        await turn(world, schedule, 45)
        await world.scheduler().look()
        assert [run["status"] for run in await runs(alice, schedule["id"])] == wanted
        # It looks ahead again.
        assert unix_ms((await show(alice, schedule["id"]))["next_run"]) > world.now_ms


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("skip", ["running", "skipped"]),
        ("queue", ["running", "pending"]),
        ("allow", ["running", "running"]),
    ],
)
@on_asyncio
async def test_a_run_beside_another_is_skipped_waits_or_begins(
    tmp_path: Path, policy: str, wanted: list[str]
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice, overlap=policy)
        scheduler = world.scheduler()
        for minutes in (0, 1):
            await turn(world, schedule, minutes)
            await scheduler.look()
        assert [run["status"] for run in await runs(alice, schedule["id"])] == wanted
        await alice.http.post(f"{SCHEDULES}/{schedule['id']}/disable")
        if policy == "queue":
            assert (await runs(alice, schedule["id"]))[1]["status"] == "skipped"
            return
        await work(world, alice)
        ended = {"running": "completed"}
        assert [run["status"] for run in await runs(alice, schedule["id"])] == [
            ended.get(status, status) for status in wanted
        ]


@on_asyncio
async def test_a_run_that_waited_begins_when_the_one_before_has_ended(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice, overlap="queue")
        for minutes in (0, 1):
            await turn(world, schedule, minutes)
            await world.scheduler().look()
        await alice.http.patch(f"{SCHEDULES}/{schedule['id']}", json={"schedule": "0 0 1 1 *"})
        for _ in range(3):
            await work(world, alice)
        found = await runs(alice, schedule["id"])
        assert [run["status"] for run in found] == ["completed", "completed"]


@on_asyncio
async def test_csv_comes_in_and_results_go_out(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        folder = world.uploads / alice.account.id
        folder.mkdir()
        (folder / "in.csv").write_text("id,env.WORD\na,one\n")
        batch = {"input_file": "in.csv", "defaults": JOB}
        body = {"task": None, "batch": batch, "output_file": "/out.csv"}
        schedule = await made(alice, **body)
        # Read anew each time.
        (folder / "in.csv").write_text("id,env.WORD\na,one\nb,two\n")
        await turn(world, schedule)
        await world.scheduler().look()
        await work(world, alice)
        (run,) = await runs(alice, schedule["id"])
        assert run["status"] == "completed"
        rows = list(csv.DictReader(io.StringIO((folder / "out.csv").read_text())))
        assert [(row["id"], row["status"]) for row in rows] == [
            ("a", "completed"),
            ("b", "completed"),
        ]
        kept = await alice.http.get(f"/api/v1/artifacts/{run['output_sha256']}")
        assert kept.content == (folder / "out.csv").read_bytes()
        assert sorted(path.name for path in folder.iterdir()) == ["in.csv", "out.csv"]
        # A file that has gone fails its run and no other.
        (folder / "in.csv").unlink()
        await turn(world, schedule, 5)
        await world.scheduler().look()
        failed = (await runs(alice, schedule["id"]))[-1]
        assert failed["status"] == "failed"
        assert "in.csv" in failed["message"]


@on_asyncio
async def test_a_dry_run_starts_nothing_and_says_what_it_would_have_cost(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        preview = await alice.http.post(f"{SCHEDULES}/preview?count=2", json=EVERY_MINUTE)
        shown = preview.json()["data"]
        assert (shown["tasks"], shown["most_usdc"], len(shown["next_runs"])) == (1, "1.00", 2)
        assert (await alice.http.get(SCHEDULES)).json()["data"]["total"] == 0
        schedule = await made(alice, dry_run=True)
        await turn(world, schedule)
        await world.scheduler().look()
        (run,) = await runs(alice, schedule["id"])
        assert (run["status"], run["batch_id"]) == ("dry_run", None)
        assert run["message"] == "would have run 1 tasks for at most 1.00 USDC"
        assert (await alice.http.get("/api/v1/batches")).json()["data"]["total"] == 0


@on_asyncio
async def test_it_is_enabled_disabled_run_by_hand_changed_and_deleted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice, is_active=False)
        one = f"{SCHEDULES}/{schedule['id']}"
        assert schedule["next_run"] is None
        assert (await alice.http.get(f"{one}/next")).json()["data"]["next_runs"] == []
        run = await alice.http.post(f"{one}/run")
        assert (run.status_code, run.json()["data"]["by_hand"]) == (201, True)
        await world.scheduler().look()
        assert [run["status"] for run in await runs(alice, schedule["id"])] == ["running"]
        enabled = await alice.http.post(f"{one}/enable")
        assert enabled.json()["message"] == "Scheduled task enabled"
        assert enabled.json()["data"]["next_run"] is not None
        assert len((await alice.http.get(f"{one}/next?count=3")).json()["data"]["next_runs"]) == 3
        changes = {"name": "Other", "schedule": "0 12 * * *", "time_zone": "Asia/Tokyo"}
        changed = (await alice.http.patch(one, json=changes)).json()["data"]
        assert changed["next_run"].endswith("T03:00:00.000Z")
        found = await alice.http.get(f"{SCHEDULES}?is_active=true&name=ther")
        assert [item["name"] for item in found.json()["data"]["scheduled_tasks"]] == ["Other"]
        found = await alice.http.get(f"{SCHEDULES}?is_active=false")
        assert found.json()["data"]["total"] == 0
        disabled = await alice.http.post(f"{one}/disable")
        assert disabled.json()["data"]["is_active"] is False
        assert (await alice.http.delete(one)).json()["data"]["result"] == "deleted"
        gone = await alice.http.get(one)
        assert gone.json()["error"]["code"] == "SCHEDULED_TASK_NOT_FOUND"


@on_asyncio
async def test_it_ends_with_its_end(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        now = datetime.now(UTC)
        ends = datetime.fromtimestamp(now.timestamp() + 90, UTC).isoformat()
        schedule = await made(alice, ends_at=ends)
        await turn(world, schedule)
        await world.scheduler().look()
        await turn(world, schedule, 30)
        await world.scheduler().look()
        shown = await show(alice, schedule["id"])
        assert (shown["is_active"], shown["next_run"]) == (False, None)


@on_asyncio
async def test_a_clock_that_is_set_back_stops_no_schedule_and_runs_nothing_twice(
    tmp_path: Path,
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice)
        scheduler = world.scheduler()
        await scheduler.watch_clock(0)
        right_ms = unix_ms(schedule["next_run"])
        # A year ahead by mistake, and back.
        world.now_ms = right_ms + 365 * 24 * 60 * MINUTE_MS
        await scheduler.watch_clock(1000)
        await scheduler.look()
        world.now_ms = right_ms - 500
        await scheduler.watch_clock(2000)
        assert (await show(alice, schedule["id"]))["next_run"] == schedule["next_run"]
        # And back over a time that has run.
        world.now_ms = right_ms
        await scheduler.look()
        world.now_ms = right_ms - 10 * MINUTE_MS
        await scheduler.watch_clock(3000)
        world.now_ms = right_ms
        await scheduler.look()
        due = [run["due_at"] for run in await runs(alice, schedule["id"])]
        assert due.count(schedule["next_run"]) == 1


@on_asyncio
async def test_a_restored_coordinator_makes_up_for_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice, missed="all", overlap="allow")
        await turn(world, schedule, 10)
        await world.database.write(restored.let_go, world.now_ms)
        await world.scheduler().look()
        assert await runs(alice, schedule["id"]) == []
        assert (await show(alice, schedule["id"]))["is_active"]


@on_asyncio
async def test_the_same_key_is_the_same_schedule(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        key = {"Idempotency-Key": "k"}
        first = await alice.http.post(SCHEDULES, json=EVERY_MINUTE, headers=key)
        again = await alice.http.post(SCHEDULES, json=EVERY_MINUTE, headers=key)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["data"]["id"] == again.json()["data"]["id"]
        other = EVERY_MINUTE | {"name": "Other"}
        answer = await alice.http.post(SCHEDULES, json=other, headers=key)
        assert answer.json()["error"]["code"] == "IDEMPOTENCY_MISMATCH"


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"schedule": "every day"}, "INVALID_CRON_EXPRESSION", "schedule"),
        ({"schedule": "0 0 30 2 *"}, "INVALID_CRON_EXPRESSION", "schedule"),
        ({"time_zone": "Moon/Sea"}, "INVALID_REQUEST", "time_zone"),
        ({"time_zone": "../UTC"}, "INVALID_REQUEST", "time_zone"),
        ({"task": None}, "INVALID_REQUEST", "task"),
        ({"batch": {"tasks": [JOB]}}, "INVALID_REQUEST", "task"),
        ({"task": {"name": "no image"}}, "INVALID_REQUEST", "tasks[0].docker_image"),
        ({"task": None, "batch": {}}, "INVALID_REQUEST", "batch.tasks"),
        ({"task": None, "batch": {"id": "a", "tasks": [JOB]}}, "INVALID_REQUEST", "batch.id"),
        ({"output_file": "../out.csv"}, "INVALID_REQUEST", "output_file"),
        ({"name": ""}, "INVALID_REQUEST", "name"),
        ({"missed": "some"}, "INVALID_REQUEST", "missed"),
        ({"ends_at": "2030-01-01T00:00:00"}, "INVALID_REQUEST", "ends_at"),
    ],
)
@on_asyncio
async def test_what_is_wrong_is_named(
    tmp_path: Path, changes: dict[str, Any], code: str, field: str
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        schedule = await made(alice)
        answer = await send(alice, EVERY_MINUTE | changes)
        assert answer.status_code == 422, answer.text
        error = answer.json()["error"]
        assert (error["code"], error["details"]["field"]) == (code, field)
        patched = await alice.http.patch(f"{SCHEDULES}/{schedule['id']}", json=changes)
        if changes != {"task": None} and "batch" not in changes:
            assert patched.status_code == 422, patched.text
        assert await show(alice, schedule["id"]) == schedule
