"""A request with an idempotency key at a replica, its coordinator dying at every commit in turn, and the same request again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer
from coordinator.crashing_database import CrashingDatabase
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import CATALOGUE, MODEL, ReplicaWorld, tasks_of
from coordinator.test_kept_answers import ONCE, kept, text
from coordinator.test_paid_use import WORDS, billed, uses
from coordinator.test_replica_kinds import of_account, serving
from neurogrid_coordinator.api.app import create_app
from neurogrid_coordinator.paid_use.leases import UseLeases, UseSettings
from neurogrid_coordinator.paid_use.notes import UseNotes
from neurogrid_coordinator.services.balances import Balances
from neurogrid_marketplace.task import Phase
from neurogrid_marketplace.units import Units

_COMMITS_MAX = 40


@asynccontextmanager
async def life(
    here: ReplicaWorld, customer: Customer, database: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """One life of what answers requests; nothing that an earlier one knew is left."""
    world = here.world
    notes = UseNotes(database, lambda: world.now_ms)
    payments = UseLeases(
        UseSettings(),
        database=database,
        feed=world.feed,
        tasks=tasks_of(world, database),
        balances=Balances(database, world.chain.funds),
        notes=notes,
        now_ms=lambda: world.now_ms,
    )
    here.serving.payments = payments
    app = create_app(world.settings, replace(world.collaborators, database=database))
    writing = asyncio.create_task(notes.run())
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://api",
            headers={**customer.http.headers, "Idempotency-Key": "0198c0de"},
            timeout=60,
        ) as http:
            yield http
    finally:
        await payments.aclose()
        # One whose database is dead hangs in its last write, too.
        while not writing.done():
            writing.cancel()
            await asyncio.sleep(0)


async def told(
    folder: Path, path: str, body: dict[str, Any], at_commit: int, *, before: bool
) -> bool:
    """The story with a crash at this commit; whether it came so far."""
    number = 0

    def another() -> dict[str, Any]:
        nonlocal number
        number += 1
        return text(f"{'w ' * WORDS}{number}")

    asked, open_world = serving(folder, CATALOGUE, another, "stream", "usage_in_stream", "seed")
    async with open_world as (here, alice):
        crashing = CrashingDatabase(here.world.database, at_commit, before=before)
        async with life(here, alice, crashing) as http:
            first = asyncio.create_task(http.post(path, json=body))
            dying = asyncio.create_task(crashing.dead.wait())
            await asyncio.wait({first, dying}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            has_died = crashing.dead.is_set()
            for task in (first, dying):
                if not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
        was_kept = bool(await kept(here))
        # What is billed is kept, and what is kept is billed.
        rows = await uses(here, alice)
        taken = [row for row in rows if row.state.lease is not None]
        assert sum([await billed(here, row) for row in taken], Units()) == (
            ONCE if was_kept else Units()
        )
        # As an orchestrator that starts does: what was stored and not woken is looked at.
        here.world.woken += [row.id for row in rows if row.phase is Phase.QUEUED]
        async with life(here, alice, here.world.database) as http:
            again, and_again = [await http.post(path, json=body) for _ in range(2)]
        assert again.status_code == 200, again.text
        assert said(again) == said(and_again)
        assert await of_account(here, alice) == ONCE
        # The answer of the one that died was free, where it had not come to be kept.
        assert number == len(asked) <= (1 if was_kept else 2)
        if not first.cancelled():
            assert said(first.result()) == said(again)
        return has_died


def said(answer: httpx.Response) -> Any:
    """All that a client is told, but when."""
    if answer.headers["content-type"].startswith("application/json"):
        return {**answer.json(), "timestamp": ""}
    return answer.text


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {}),
        ("/v1/completions", {"stream": True}),
        ("/api/v1/models/generate/text", {}),
    ],
)
def test_whoever_dies_when_the_answer_is_billed_once_and_the_same_again(
    tmp_path: Path, path: str, body: dict[str, Any], before: bool
) -> None:
    @on_asyncio
    async def tell(at_commit: int) -> bool:
        own = tmp_path / str(at_commit)
        own.mkdir()
        wanted = {"model": MODEL, "prompt": "To be", **body}
        return await told(own, path, wanted, at_commit, before=before)

    crashes = 0
    while tell(crashes + 1):
        crashes += 1
        assert crashes < _COMMITS_MAX
    # That a lease for use is submitted, and the note with the answer.
    assert crashes >= 2
