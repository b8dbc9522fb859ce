"""`neurogrid-coordinator prune`: what it would delete, what it deletes beside a coordinator, and the file made smaller."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, update

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.commands.prune import prune
from neurogrid_coordinator.config import filled
from neurogrid_coordinator.store.tables import tasks
from neurogrid_wallet.payment_store import PaymentStore

DAY_MS = 24 * 3600 * 1000


def run(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(prune, ["--data", str(folder), *arguments])


async def shown(folder: Path, *arguments: str) -> Any:
    done = await asyncio.to_thread(run, folder, "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@on_asyncio
async def test_it_says_what_would_go_deletes_it_beside_a_coordinator_and_makes_the_file_smaller(
    tmp_path: Path,
) -> None:
    (tmp_path / "coordinator.toml").write_text(
        filled({"retention.logs_days": 7, "retention.events_days": 7})
    )
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        old, new = [
            str((await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"])
            for _ in range(2)
        ]
        for task_id in (old, new):
            await world.start(task_id)
            for _ in range(40):
                await world.print(task_id, "x" * 20_000 + "\n")
            await world.finish(task_id)
            await world.pay(task_id)

        def age(conn: Connection) -> None:
            days = tasks.c.ended_at_ms - 8 * DAY_MS
            conn.execute(update(tasks).where(tasks.c.id == old).values(ended_at_ms=days))

        await world.database.write(age)
        due = {
            "logs": 1,
            "outputs": 0,
            "events": 1,
            "evidence": 0,
            "failures": 0,
            "deliveries": 0,
            "answers": 0,
        }
        told = await shown(tmp_path, "--dry-run")
        assert (told["due"], told["deleted"]) == (due, {})
        assert await shown(tmp_path, "--dry-run") == told
        assert (await alice.http.get(f"/api/v1/tasks/{old}/logs")).status_code == 200
        assert (await shown(tmp_path))["deleted"] == due
        assert (await alice.http.get(f"/api/v1/tasks/{old}/logs")).status_code == 410
        assert (await alice.http.get(f"/api/v1/tasks/{new}/logs")).status_code == 200
        again = await shown(tmp_path)
        assert not any(again["deleted"].values())

    owner = PaymentStore(tmp_path / "payments.db")
    refused = await asyncio.to_thread(run, tmp_path, "--compact")
    owner.close()
    assert refused.exit_code == 2
    assert "a coordinator runs" in refused.output
    done = await shown(tmp_path, "--compact")
    assert done["bytes_after"] < done["bytes_before"] - 500_000
    assert (tmp_path / "coordinator.db").stat().st_size == done["bytes_after"]
    async with open_world(tmp_path) as world:
        owner_of = await world.database.read(
            lambda conn: conn.scalar(tasks.select().where(tasks.c.id == new))
        )
        assert owner_of is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((), "does not exist"), (("--dry-run", "--compact"), "say one of them")],
)
def test_what_cannot_be_done_is_said(
    tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    (tmp_path / "coordinator.toml").write_text(filled({}))
    refused = run(tmp_path, *arguments)
    assert refused.exit_code == 2
    assert words in refused.output


def test_a_person_reads_how_long_each_kind_is_kept(tmp_path: Path) -> None:
    (tmp_path / "coordinator.toml").write_text(filled({"retention.logs_days": 7}))

    @on_asyncio
    async def make() -> None:
        async with open_world(tmp_path):
            pass

    make()
    said = run(tmp_path, "--dry-run").stdout.splitlines()
    assert said[0] == "logs               0 would be deleted; kept for 7 days"
    assert said[1].endswith("kept for ever")
    assert said[-1].startswith("database")
