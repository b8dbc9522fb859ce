"""``neurogrid batch`` and ``neurogrid schedule`` against the real api."""

import json
from pathlib import Path

import pytest

from coordinator.api_world import World
from coordinator.served import ServedWorld
from sdk.typing_commands import Run

BATCH = """
name = "Words"
[defaults]
docker_image = "my/job"
max_price_per_hour = "1.00"
[[tasks]]
id = "a"
env = {WORD = "one"}
[[tasks]]
id = "b"
"""
SCHEDULE = """
name = "Report"
schedule = "0 9 * * MON-FRI"
time_zone = "Europe/Berlin"
[task]
docker_image = "my/job"
max_price_per_hour = "1.00"
"""


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    path = tmp_path / "batch.toml"
    path.write_text(BATCH)
    return path


@pytest.fixture
def schedule(tmp_path: Path) -> Path:
    path = tmp_path / "schedule.toml"
    path.write_text(SCHEDULE)
    return path


async def _run_out(world: World) -> None:
    """Everything that waits runs to its end."""
    runner = world.batch_runner()
    await runner.look()
    for task_id in list(world.woken):
        await world.start(task_id)
        await world.finish(task_id)
    await runner.look()


def test_a_batch_is_submitted_run_shown_and_deleted(
    run: Run, api: ServedWorld, batch: Path, tmp_path: Path
) -> None:
    made = run("batch", "submit", str(batch), "--id", "mine", "--hold", "--max-concurrency", "2")
    assert made.exit_code == 0, made.output
    batch_id = made.stdout.strip()
    assert f"neurogrid batch status --wait {batch_id}" in made.stderr
    held = run("batch", "status", "mine")
    assert "pending" in held.stdout
    assert "running" in run("batch", "start", "mine").stdout
    api.run(_run_out)
    ended = run("batch", "status", "mine", "--wait", "--json")
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["progress"]["completed"] == 2
    assert "2/2" in run("batch", "list").stdout
    tasks = run("batch", "tasks", "mine", "--status", "completed")
    assert [line.split()[0] for line in tasks.stdout.splitlines()] == ["ID", "a", "b"]
    out = tmp_path / "results.csv"
    assert run("batch", "results", "mine", "-o", str(out)).exit_code == 0
    assert len(out.read_text().splitlines()) == 3
    lines = run("batch", "results", "mine", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b"]
    assert run("batch", "retry", "mine").exit_code != 0
    assert run("batch", "delete", "mine").stdout == f"{batch_id} deleted\n"
    assert run("batch", "status", "mine").exit_code == 4


def test_a_csv_of_this_machine_is_uploaded(run: Run, batch: Path, tmp_path: Path) -> None:
    table = tmp_path / "words.csv"
    table.write_text("id,env.WORD\nx,one\ny,two\nz,three\n")
    batch.write_text(BATCH.partition("[[tasks]]")[0])
    made = run("batch", "submit", str(batch), "--csv", str(table), "--json")
    assert made.exit_code == 0, made.output
    assert json.loads(made.stdout)["progress"]["total"] == 3
    batch_id = json.loads(made.stdout)["id"]
    assert "cancelled" in run("batch", "cancel", batch_id).stdout
    failed = run("batch", "status", batch_id, "--wait")
    assert failed.exit_code == 1


def test_what_is_wrong_in_a_batch_is_named(run: Run, batch: Path) -> None:
    batch.write_text(BATCH + "colour = 1\n")
    wrong = run("batch", "submit", str(batch))
    assert wrong.exit_code == 2
    assert "tasks[1].colour" in wrong.stderr


def test_a_schedule_is_previewed_made_shown_and_deleted(run: Run, schedule: Path) -> None:
    preview = run("schedule", "preview", str(schedule), "--count", "2")
    assert preview.exit_code == 0, preview.output
    assert preview.stdout.startswith("1 task each time, for at most 1.00")
    assert len(preview.stdout.splitlines()) == 3
    made = run("schedule", "create", str(schedule))
    assert made.exit_code == 0, made.output
    schedule_id = made.stdout.strip()
    assert "It runs next: 20" in made.stderr
    assert "Report" in run("schedule", "list", "--active", "--name", "epor").stdout
    assert schedule_id not in run("schedule", "list", "--inactive").stdout
    assert "MON-FRI (Europe/Berlin)" in run("schedule", "show", schedule_id).stdout
    assert len(run("schedule", "next", schedule_id, "--count", "3").stdout.splitlines()) == 3
    assert run("schedule", "run", schedule_id).stdout.startswith("run_")
    assert "pending" in run("schedule", "runs", schedule_id).stdout
    off = run("schedule", "disable", schedule_id, "--json")
    assert json.loads(off.stdout)["is_active"] is False
    assert "yes" in run("schedule", "enable", schedule_id).stdout
    assert run("schedule", "delete", schedule_id).stdout == f"{schedule_id} deleted\n"
    assert run("schedule", "show", schedule_id).exit_code == 4


def test_a_wrong_schedule_is_refused(run: Run, schedule: Path) -> None:
    schedule.write_text(SCHEDULE.replace("0 9 * * MON-FRI", "every day"))
    wrong = run("schedule", "create", str(schedule))
    assert wrong.exit_code == 2
    assert "five fields" in wrong.stderr
    schedule.write_text("name = 'x'")
    assert "no field schedule" in run("schedule", "create", str(schedule)).stderr
