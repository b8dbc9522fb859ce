"""A model that has no warm replica says how soon it begins: in lists, while a stream waits, and where nobody came in time."""

import asyncio
from pathlib import Path

import pytest

from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import MODEL, open_replica_world
from coordinator.test_paid_use import WHOLE, ask, paid
from neurogrid_coordinator.api import streaming
from neurogrid_coordinator.api.errors import refused as refused_by_api
from neurogrid_coordinator.replicas.cold_start import PHASES, ColdStarts, read_phases
from neurogrid_coordinator.replicas.status import ModelStatus, announcement
from neurogrid_coordinator.services.errors import Unavailable
from neurogrid_coordinator.store import events

SECOND = dict.fromkeys(PHASES, 200)
LONG = dict.fromkeys(PHASES, 6_000)


async def shown(alice: Customer) -> list[int | None]:
    """What the native API and OpenAI's say, in lists and of the one model."""
    http = alice.http
    native = (await http.get("/api/v1/models")).json()["data"]["models"][0]
    one = (await http.get(f"/api/v1/models/{MODEL}")).json()["data"]
    listed = (await http.get("/v1/models")).json()["data"][0]["neurogrid"]
    single = (await http.get(f"/v1/models/{MODEL}")).json()["neurogrid"]
    return [each["replicas"]["expected_start_ms"] for each in (native, one, listed, single)]


@on_asyncio
async def test_what_is_left_of_a_start_is_said_and_what_was_measured_outlives_the_coordinator(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path) as here:
        alice = await here.world.customer("alice")
        assert await shown(alice) == [None] * 4
        here.pool.cold_starts.add(LONG)
        assert await shown(alice) == [30_000] * 4
        asking = asyncio.create_task(here.ask())
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        (row,) = await here.rows()
        here.turn(12)
        assert await shown(alice) == [18_000] * 4
        # One that takes longer may be there at any moment.
        here.turn(60)
        assert await shown(alice) == [1_000] * 4
        await here.up(row.id)
        await asking
        assert await shown(alice) == [0] * 4

        await here.until(lambda: here.pool.cold_starts.expected_ms() != 30_000)
        await here.restart()
        assert here.pool.cold_starts.expected_ms() is None
        await here.upkeep.look()
        (ready,) = [
            event
            for event in await here.world.database.read(events.milestones, row.id)
            if event.kind == events.READY
        ]
        assert here.pool.cold_starts.by_phase_ms() == ready.data["cold_start_ms"]


def test_what_an_event_says_of_a_start_may_be_another_releases() -> None:
    assert read_phases(SECOND) == SECOND
    for other in (None, 3, {}, {"queued": 1}, {**SECOND, "queued": "1"}, {**SECOND, "more": 1}):
        assert read_phases(other) == {}


@on_asyncio
async def test_a_stream_that_waits_for_a_start_says_so_at_once_and_then_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def announced(status: ModelStatus) -> str:
        told.append(announcement(status))
        return told[-1]

    monkeypatch.setattr(streaming, "announcement", announced)
    monkeypatch.setattr(streaming, "_ANNOUNCED_HEAD_S", 0.02)
    monkeypatch.setattr(streaming, "_ANNOUNCED_EVERY_S", 0.02)
    async with paid(tmp_path, WHOLE) as (here, alice):
        (replica,) = here.pool.replicas.values()
        ready_at_ms, replica.ready_at_ms = replica.ready_at_ms, 0
        replica.has_been_ready = False
        replica.begun_at_ms = here.world.now_ms
        here.pool.cold_starts = ColdStarts()
        here.pool.cold_starts.add(LONG)
        asking = asyncio.create_task(ask(alice, stream=True))
        await here.until(lambda: here.pool.waiting == 1)
        await here.until(lambda: len(told) > 1)
        replica.ready_at_ms, replica.has_been_ready = ready_at_ms, True
        here.pool.dispatch()
        answer = await asking
    assert answer.status_code == 200
    lines = answer.text.split("\n\n")
    said = [line for line in lines if line.startswith(":")]
    assert said[0] == ": warm: no replica is warm, begins in about 30 s"
    assert set(said[1:]) <= {said[0], ": keep-alive"}
    assert lines[len(said)].startswith("data: {"), "none comes after the first piece"
    assert answer.text.endswith("data: [DONE]\n\n")


@on_asyncio
async def test_who_waited_in_vain_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with open_replica_world(tmp_path) as here:
        here.pool.cold_starts.add(LONG)
        here.turn(0)
        with pytest.raises(Unavailable) as refused:
            await here.ask(wait_s=0.05)
        assert refused.value.details["expected_start_ms"] == 30_000
        assert refused.value.details["retry_after"] == 30
        problem = refused_by_api(refused.value)
        assert (problem.status, problem.headers["Retry-After"]) == (503, "30")
    assert refused_by_api(Unavailable("for no known time")).headers["Retry-After"] == "1"
