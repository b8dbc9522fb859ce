"""What models have read and made: counted once, with the task that asked."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, select

from coordinator.answering import RESULT
from coordinator.api_world import Customer, World, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator import unit_counting
from neurogrid_coordinator.files.artifacts import StoreUnavailable
from neurogrid_coordinator.store import unit_counts
from neurogrid_coordinator.store.tables import uncounted_tasks
from neurogrid_coordinator.store.tables import unit_counts as counts
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.model_requests import read_result, units_of
from neurogrid_marketplace.unit_price import ModelUnit

_ASKED: dict[str, Any] = {"kind": "model", "model": "small", "prompt": "To be,"}
_DAY_MS = 86_400_000


async def answered(world: World, customer: Customer, left: bytes, **changes: Any) -> str:
    answer = await customer.http.post("/api/v1/tasks", json=_ASKED | changes)
    assert answer.status_code == 201, answer.text
    task_id = str(answer.json()["data"]["id"])
    await world.start(task_id)
    await world.finish(task_id, await world.upload(task_id, "result.json", left))
    return task_id


def of(prompt: int, completion: int) -> bytes:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return json.dumps({**RESULT, "usage": usage}).encode()


async def tokens(customer: Customer) -> int:
    usage = (await customer.http.get("/api/v1/analytics/usage")).json()["data"]
    return int(usage["current_month"]["tokens_generated"])


@pytest.mark.both_databases
@on_asyncio
async def test_answers_are_counted_once_when_their_tasks_have_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_world(tmp_path) as world:
        alice, bob = await world.customer("alice"), await world.customer("bob")
        await answered(world, alice, of(3, 7))
        first = await answered(world, alice, of(5, 20), prompt="Or not,")
        # Nothing that can be read, another's, one that failed, and a job that is no model's but leaves such a file.
        await answered(world, alice, b"nonsense", prompt="Nonsense")
        await answered(world, bob, of(1, 1000))
        failed = (await alice.http.post("/api/v1/tasks", json=_ASKED | {"prompt": "f"})).json()
        await world.start(failed["data"]["id"])
        await world.finish(failed["data"]["id"], outcome=Outcome.EXIT_NONZERO)

        async def away(sha256: str, offset: int = 0) -> AsyncGenerator[bytes]:
            raise StoreUnavailable("the store is away")
            yield b""

        def waiting(conn: Connection) -> int:
            return conn.scalar(select(func.count()).select_from(uncounted_tasks)) or 0

        with monkeypatch.context() as patch:
            patch.setattr(world.blobs, "read", away)
            with pytest.raises(StoreUnavailable):
                await unit_counting.count_all(world.database, world.blobs)
        assert await world.database.read(waiting) == 4, "they wait for the store"
        await unit_counting.count_all(world.database, world.blobs)
        assert await world.database.read(waiting) == 0
        await unit_counting.count_all(world.database, world.blobs)
        # As when two count at one moment, and one comes too late.
        late = {ModelUnit.OUTPUT_TOKEN: 10}
        now_ms = world.now_ms
        await world.database.write(unit_counts.count_answer, first, "small", now_ms, late)

        rows = await world.database.read(
            lambda conn: {
                row.unit: row.amount
                for row in conn.execute(
                    select(counts).where(counts.c.account_id == alice.account.id)
                )
            }
        )
        assert rows == {"request": 2, "input_token": 8, "output_token": 27}
        assert await tokens(alice) == 27
        usage = (await alice.http.get("/api/v1/analytics/usage")).json()["data"]
        (small,) = usage["models"]
        cost = small.pop("cost")
        # The one that failed has cost something, too, and what has not been asked is not there.
        assert cost == usage["current_month"]["total_cost"] > 0
        assert small == {
            "model": "small",
            "requests": 2,
            "input_tokens": 8,
            "cached_input_tokens": 0,
            "output_tokens": 27,
            "images": 0,
            "audio_seconds": 0,
        }
        assert await tokens(bob) == 1000

        def total(conn: Connection, since_ms: int) -> int:
            units = (ModelUnit.OUTPUT_TOKEN,)
            return unit_counts.total(conn, alice.account.id, units, since_ms)

        assert await world.database.read(total, now_ms + _DAY_MS) == 0


def test_what_a_program_says_is_counted_in_the_units_of_prices() -> None:
    image = json.dumps({"image": "out.png", "width": 16, "height": 16}).encode()
    assert units_of(read_result(image)) == {
        ModelUnit.REQUEST: 1,
        ModelUnit.INPUT_TOKEN: 0,
        ModelUnit.OUTPUT_TOKEN: 0,
        ModelUnit.IMAGE: 1,
    }
    assert units_of(read_result(b"nonsense")) == {}
