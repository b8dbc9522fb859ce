from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from coordinator.on_asyncio import on_asyncio
from coordinator.places import place_in
from coordinator.records import NOW_MS, new_task, wallet
from neurogrid_coordinator.services.task_details import Found, KnownTasks, find
from neurogrid_coordinator.store import accounts, tasks
from neurogrid_coordinator.store.accounts import Account
from neurogrid_coordinator.store.database import Database


async def stored(db: Database, name: str) -> tuple[Account, str]:
    account = await db.write(accounts.create, name, wallet(name), NOW_MS)
    row, _ = await db.write(tasks.insert_new, new_task(account.id, name=name), NOW_MS)
    return account, row.id


def another(found: Found, task_id: str) -> Found:
    row = msgspec.structs.replace(found.detail.row, id=task_id)
    return replace(found, detail=msgspec.structs.replace(found.detail, row=row))


@pytest.mark.both_databases
@on_asyncio
async def test_what_was_read_is_what_is_found_again_until_its_rows_are_others(
    tmp_path: Path,
) -> None:
    async with Database.open(place_in(tmp_path)) as db:
        account, task_id = await stored(db, "ada")
        first = await db.read(find, account, task_id, None)
        assert await db.read(find, account, task_id, first) is first
        await db.write(tasks.save_progress, task_id, 1, "a little")
        later = await db.read(find, account, task_id, first)
        assert later.detail.row.progress_note == "a little"
        assert later.detail == (await db.read(find, account, task_id, None)).detail


@on_asyncio
async def test_what_is_remembered_is_bounded_in_number_and_length(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "db") as db:
        found = await db.read(find, *await stored(db, "ada"), None)
    known = KnownTasks()
    for number in range(300):
        known.keep(another(found, f"task_{number}"))
        known.keep(another(found, "task_0"))
    assert known.of("task_0") is not None
    assert [known.of(f"task_{number}") is not None for number in (44, 45, 299)] == [
        False,
        True,
        True,
    ]
    long = replace(another(found, "task_299"), rows=([("x" * 20_000,)], [], []))
    known.keep(long)
    assert known.of("task_299") is None
