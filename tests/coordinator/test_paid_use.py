"""Requests at `/v1` that replicas answer and leases for use pay for: every sum adds up, and nothing is paid that nobody got."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.api_world import Customer
from coordinator.fake_jobs import Serve
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import (
    CATALOGUE,
    HEAD,
    MODEL,
    ReplicaWorld,
    open_replica_world,
    tasks_of,
    well_but,
)
from coordinator.served import served
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.paid_use.leases import UseLeases, UseSettings
from neurogrid_coordinator.paid_use.notes import UseNotes
from neurogrid_coordinator.services.balances import Balances
from neurogrid_coordinator.services.submission import USE_KIND
from neurogrid_coordinator.store import task_lists, tasks, unit_counts, use
from neurogrid_coordinator.store.away import OutcomeUnknown
from neurogrid_coordinator.store.database import Database
from neurogrid_coordinator.store.task_lists import TaskFilter
from neurogrid_coordinator.store.tasks import TaskRow
from neurogrid_marketplace.job_stream import StreamRefusal
from neurogrid_marketplace.task import TERMINAL, Phase
from neurogrid_marketplace.task_events import Started
from neurogrid_marketplace.unit_price import ModelUnit
from neurogrid_marketplace.units import Units

WORDS = 25
READ = 7
PASSED = Units(output_tokens=4, requests=1)


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def piece(text: str, finish: str | None = None) -> bytes:
    return event({"choices": [{"index": 0, "text": text, "finish_reason": finish}]})


USAGE = event({"choices": [], "usage": {"prompt_tokens": READ, "completion_tokens": WORDS}})


def saying(*events: bytes, breaks: bool = False) -> Serve:
    """A server that says this, in a stream, and breaks off where it is told to."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 100000\r\n\r\n") if breaks else HEAD
        writer.write(head)
        for each in events:
            writer.write(each)
            await writer.drain()

    return well_but(serve)


WHOLE = saying(*(piece("w ") for _ in range(WORDS)), piece("", "stop"), USAGE, b"data: [DONE]\n\n")


@asynccontextmanager
async def paid(
    folder: Path,
    serve: Serve = WHOLE,
    settings: UseSettings | None = None,
    *,
    takes: bool = True,
    entry: str = CATALOGUE,
    features: tuple[str, ...] = ("stream", "usage_in_stream"),
) -> AsyncIterator[tuple[ReplicaWorld, Customer]]:
    """A replica that runs, nodes that take leases for its use, and a customer."""
    settings = settings or UseSettings()
    changes: dict[str, Any] = {"features": features, "replicas_min": 1}
    async with open_replica_world(folder, entry=entry, **changes) as here:
        world = here.world
        notes = UseNotes(world.database, lambda: world.now_ms)
        here.serving.payments = leases(here, notes, settings)
        writing = asyncio.create_task(notes.run())
        await here.upkeep.look()
        (row,) = await here.rows()
        await here.up(row.id, serve=serve)
        here.takes_uses = takes
        here.jobs.refusal = StreamRefusal.NOT_RUNNING
        taking = asyncio.create_task(take_uses(here, serve))
        try:
            yield here, await world.customer("alice")
        finally:
            for task in (taking, writing):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def leases(here: ReplicaWorld, notes: UseNotes, settings: UseSettings) -> UseLeases:
    world = here.world
    return UseLeases(
        settings,
        database=world.database,
        feed=world.feed,
        tasks=tasks_of(world, world.database),
        balances=Balances(world.database, world.chain.funds),
        notes=notes,
        now_ms=lambda: world.now_ms,
    )


async def take_uses(here: ReplicaWorld, serve: Serve) -> None:
    """Nodes take every lease for use, and pass its requests on."""
    world = here.world
    while True:
        for task_id in list(world.woken if here.takes_uses else ()):
            world.woken.remove(task_id)
            row = await world.database.read(tasks.get, task_id)
            if row is not None and row.kind == USE_KIND:
                # Its steps take seconds each, and a lease for use does not wait long.
                world.now_ms = time.time_ns() // 1_000_000
                task = await world.accept(task_id)
                assert task.lease is not None
                if here.ahead:
                    here.jobs.servers[task.lease.lease_id] = serve
                while not here.funds_uses:  # noqa: ASYNC110 - the test says it
                    await asyncio.sleep(0.005)
                await world.fund(task_id)
                here.jobs.servers[task.lease.lease_id] = serve
                await world.step(task_id, Started(task.lease.lease_id, world.now_ms))
        await asyncio.sleep(0.005)


async def uses(here: ReplicaWorld, *customers: Customer) -> list[TaskRow]:
    which = TaskFilter(kinds=frozenset({USE_KIND}))
    rows = await here.world.database.read(task_lists.list_rows, which, oldest_first=True)
    wanted = {each.account.id for each in customers}
    return [row for row in rows if not wanted or row.account_id in wanted]


async def billed(here: ReplicaWorld, row: TaskRow) -> Units:
    assert row.state.lease is not None
    return await here.world.database.read(use.of_lease, row.state.lease.lease_id)


async def tokens_of(here: ReplicaWorld, customer: Customer) -> int:
    """What was written for it, as it is noted."""
    rows = [row for row in await uses(here, customer) if row.state.lease is not None]
    return sum([(await billed(here, row)).output_tokens for row in rows])


async def until_running(here: ReplicaWorld, customer: Customer) -> None:
    async with asyncio.timeout(60):
        while any(row.phase is not Phase.RUNNING for row in await uses(here, customer)):  # noqa: ASYNC110 - nobody is told of a stored row
            await asyncio.sleep(0.01)


def events_of(answer: httpx.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    found = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    return [each if each == "[DONE]" else json.loads(each) for each in found]


async def ask(customer: Customer, **changes: Any) -> httpx.Response:
    body = {"model": MODEL, "prompt": "To be", "stream": True, **changes}
    return await customer.http.post("/v1/completions", json=body, timeout=60)


@pytest.mark.both_databases
@on_asyncio
async def test_what_answers_cost_adds_up_to_what_their_lease_costs(tmp_path: Path) -> None:
    async with paid(tmp_path) as (here, alice):
        bob = await here.world.customer("bob")
        told = {alice.account.id: 0, bob.account.id: 0}
        for customer in (alice, bob, alice, alice):
            wants = customer is alice
            answer = await ask(customer, stream_options={"include_usage": wants})
            *pieces, last, done = events_of(answer)
            assert done == "[DONE]"
            if wants:
                *pieces, ended = pieces
                assert last["usage"]["completion_tokens"] == WORDS
                assert last["usage"]["cost_micro_usdc"] == ended["neurogrid"]["cost_micro_usdc"]
                last = ended
            assert [each["choices"][0]["text"] for each in pieces] == ["w "] * WORDS
            assert all(("usage" in each) == wants for each in pieces)
            assert last["choices"][0]["finish_reason"] == "stop"
            told[customer.account.id] += last["neurogrid"]["cost_micro_usdc"]
        rows = await uses(here)
        assert {row.id for row in rows} >= {last["neurogrid"]["task_id"]}
        # One of each account: the next requests found it.
        assert {row.account_id for row in rows} == set(told)
        assert len(rows) == 2
        for row in rows:
            units = await billed(here, row)
            wanted = row.state.demand.use
            assert wanted is not None
            count = 3 if row.account_id == alice.account.id else 1
            assert units == Units(READ * count, 0, WORDS * count, 0, 0, count)
            # Prices of a million: 25 tokens are 2.5 micro-USDC, and nothing is rounded twice.
            assert (
                told[row.account_id] == wanted.prices.cost_micro_usdc(units) == -(-5 * count // 2)
            )
            counted = await here.world.database.read(
                unit_counts.total, row.account_id, (ModelUnit.OUTPUT_TOKEN,), 0
            )
            assert counted == WORDS * count
        usage = (await alice.http.get("/api/v1/analytics/usage")).json()["data"]
        (warm,) = usage["models"]
        # What a lease that goes on costs is known when it ends.
        assert warm | {"cost": 0.0} == {
            "model": MODEL,
            "requests": 3,
            "input_tokens": READ * 3,
            "cached_input_tokens": 0,
            "output_tokens": WORDS * 3,
            "images": 0,
            "audio_seconds": 0,
            "cost": 0.0,
        }


@on_asyncio
async def test_what_a_server_counts_beyond_what_its_text_can_have_is_not_billed(
    tmp_path: Path,
) -> None:
    claimed = event(
        {"choices": [], "usage": {"prompt_tokens": 900_000, "completion_tokens": 50_000}}
    )
    texts = [piece("w ") for _ in range(WORDS)]
    lying = saying(*texts, piece("", "stop"), claimed, b"data: [DONE]\n\n")
    async with paid(tmp_path, lying) as (here, alice):
        assert events_of(await ask(alice))[-1] == "[DONE]"
        (row,) = await uses(here, alice)
        units = await billed(here, row)
        # Each byte of the text, and what writes none; the request as it was sent, and a template.
        assert units.output_tokens == 2 * WORDS + 16
        assert 1024 < units.input_tokens < 1024 + 200
        # Nor beyond what was asked for.
        assert events_of(await ask(alice, max_tokens=WORDS))[-1] == "[DONE]"
        assert (await billed(here, row)).output_tokens == units.output_tokens + WORDS


@on_asyncio
async def test_of_an_answer_that_breaks_off_what_came_is_paid_and_its_end_is_clear(
    tmp_path: Path,
) -> None:
    broken = saying(*(piece("w ") for _ in range(4)), breaks=True)
    async with paid(tmp_path, broken) as (here, alice):
        *pieces, error = events_of(await ask(alice))
        assert [each["choices"][0]["text"] for each in pieces] == ["w "] * 4
        assert "broke off" in error["error"]["message"]
        (row,) = await uses(here, alice)
        async with asyncio.timeout(60):
            while await billed(here, row) != PASSED:  # noqa: ASYNC110 - nobody is told of a note
                await asyncio.sleep(0.01)


@on_asyncio
async def test_what_a_server_refuses_has_its_field_and_code(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        error = {"message": "too long", "param": "prompt", "code": "context_length_exceeded"}
        body = json.dumps({"error": error}).encode()
        head = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        await writer.drain()

    async with paid(tmp_path, well_but(refuse)) as (here, alice):
        answer = await ask(alice)
        assert answer.status_code == 400
        told = answer.json()["error"]
        assert (told["message"], told["param"]) == ("too long", "prompt")
        assert told["code"] == "context_length_exceeded"
        (row,) = await uses(here, alice)
        assert (await billed(here, row)).requests == 0


@on_asyncio
async def test_a_stream_that_ends_without_saying_how_is_no_whole_answer(tmp_path: Path) -> None:
    async with paid(tmp_path, saying(piece("w "))) as (_, alice):
        *_, error = events_of(await ask(alice))
        assert error["error"]["code"] == "inference_failed"
        assert "ended in the middle" in error["error"]["message"]


@on_asyncio
async def test_who_cannot_pay_is_told_so_and_who_has_little_opens_a_smaller_escrow(
    tmp_path: Path,
) -> None:
    async with paid(tmp_path) as (here, alice):
        here.world.chain.funds_of[alice.account.wallet] = ClientFunds(900, 0, 900, 0)
        answer = await ask(alice)
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "insufficient_quota"
        assert await uses(here, alice) == []
        here.world.chain.funds_of[alice.account.wallet] = ClientFunds(40_000, 0, 40_000, 0)
        assert events_of(await ask(alice))[-1] == "[DONE]"
        (row,) = await uses(here, alice)
        assert row.state.demand.max_cost_micro_usdc() == 500_000 // 16


@on_asyncio
async def test_a_lease_is_found_again_and_the_next_is_opened_before_it_is_used_up(
    tmp_path: Path,
) -> None:
    settings = UseSettings(escrow_micro_usdc=8)
    async with paid(tmp_path, settings=settings) as (here, alice):
        await ask(alice)
        (first,) = await uses(here, alice)
        # Another process: what the database has is all that it knows.
        notes = UseNotes(here.world.database, lambda: here.world.now_ms)
        writing = asyncio.create_task(notes.run())
        here.serving.payments = leases(here, notes, settings)
        await ask(alice)
        assert [row.id for row in await uses(here, alice)] == [first.id]
        # 5 of 8 are used: this one is answered under it, and the next is opened meanwhile.
        await ask(alice)
        async with asyncio.timeout(60):
            while len(await uses(here, alice)) < 2:  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        *_, last, _ = events_of(await ask(alice))
        assert last["neurogrid"]["task_id"] != first.id
        assert all(row.phase not in TERMINAL for row in await uses(here, alice))
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing


@on_asyncio
async def test_while_the_next_lease_is_opened_the_one_that_there_is_pays(tmp_path: Path) -> None:
    settings = UseSettings(escrow_micro_usdc=15)
    async with paid(tmp_path, settings=settings) as (here, alice):
        for _ in range(4):
            await ask(alice, max_tokens=WORDS)
        (first,) = await uses(here, alice)
        # A chain that takes its time: nothing that is submitted now comes to run.
        here.takes_uses = False
        answer = await ask(alice, max_tokens=1)
        assert events_of(answer)[-2]["neurogrid"]["task_id"] == first.id
        async with asyncio.timeout(60):
            while len(await uses(here, alice)) < 2:  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        answer = await ask(alice, max_tokens=1)
        assert events_of(answer)[-2]["neurogrid"]["task_id"] == first.id


@on_asyncio
async def test_the_first_answer_need_not_wait_for_its_escrow_and_is_paid_all_the_same(
    tmp_path: Path,
) -> None:
    async with paid(tmp_path) as (here, alice):
        here.ahead, here.funds_uses = True, False
        # Nobody opens the escrow, and all of it comes.
        assert events_of(await ask(alice))[-1] == "[DONE]"
        (row,) = await uses(here, alice)
        assert row.phase is Phase.STARTING
        assert (await billed(here, row)).output_tokens == WORDS
        here.funds_uses = True
        await until_running(here, alice)
        assert events_of(await ask(alice))[-2]["neurogrid"]["task_id"] == row.id
        assert (await billed(here, row)).output_tokens == 2 * WORDS


@on_asyncio
async def test_where_a_node_serves_nobody_ahead_the_escrow_is_waited_for(tmp_path: Path) -> None:
    async with paid(tmp_path) as (here, alice):
        here.funds_uses = False
        asking = asyncio.create_task(ask(alice))
        # It was asked, and has refused.
        await here.until(lambda: len(here.jobs.asked) > 1)
        here.funds_uses = True
        assert events_of(await asking)[-1] == "[DONE]"
        (row,) = await uses(here, alice)
        assert row.phase is Phase.RUNNING
        (replica,) = here.pool.replicas.values()
        assert (replica.health.failures, here.pool.tally.requests) == (0, {"answered": 1})


@on_asyncio
async def test_an_answer_whose_escrow_never_comes_is_broken_off_and_no_fault_of_its_replica(
    tmp_path: Path,
) -> None:
    broken = saying(*(piece("w ") for _ in range(4)), breaks=True)
    async with paid(tmp_path, broken) as (here, alice):
        here.ahead, here.funds_uses = True, False
        *pieces, error = events_of(await ask(alice))
        assert len(pieces) == 4
        assert "broke off" in error["error"]["message"]
        (replica,) = here.pool.replicas.values()
        assert replica.health.failures == 0


@on_asyncio
async def test_an_answer_has_an_escrow_that_holds_all_that_it_may_come_to(tmp_path: Path) -> None:
    async with paid(tmp_path, settings=UseSettings(escrow_micro_usdc=8)) as (here, alice):
        # 400 tokens at a tenth of a micro-USDC.
        asking = [asyncio.create_task(ask(alice, max_tokens=400)) for _ in range(2)]
        for answer in await asyncio.gather(*asking):
            assert events_of(answer)[-1] == "[DONE]"
        most = sorted(row.state.demand.max_cost_micro_usdc() for row in await uses(here, alice))
        assert most == [40, 40], "what one may take is not the other's"


@on_asyncio
async def test_an_answer_that_outgrows_its_accounts_money_ends_clearly_and_what_came_is_paid(
    tmp_path: Path,
) -> None:
    noted = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + 25 * piece("w "))
        await noted.wait()
        with suppress(ConnectionError):
            while True:
                writer.write(piece("w "))
                await writer.drain()
                await asyncio.sleep(0)

    settings = UseSettings(escrow_micro_usdc=2)
    async with paid(tmp_path, well_but(endless), settings) as (here, alice):
        here.world.chain.funds_of[alice.account.wallet] = ClientFunds(30, 0, 30, 0)
        asking = asyncio.create_task(ask(alice, max_tokens=400))
        # 2 micro-USDC are 20 tokens.
        async with asyncio.timeout(60):
            while await tokens_of(here, alice) < 25:  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        noted.set()
        *pieces, error = events_of(await asking)
        assert len(pieces) >= 25
        assert error["error"]["code"] == "insufficient_quota"
        assert "what came of it is paid" in error["error"]["message"]
        (row,) = await uses(here, alice)
        wanted = row.state.demand.use
        assert wanted is not None
        assert wanted.prices.cost_micro_usdc(await billed(here, row)) >= 2
        (replica,) = here.pool.replicas.values()
        assert replica.health.failures == 0


@on_asyncio
async def test_an_answer_that_comes_whole_is_not_begun_where_it_could_not_be_paid(
    tmp_path: Path,
) -> None:
    async with paid(tmp_path, settings=UseSettings(escrow_micro_usdc=2)) as (here, alice):
        here.world.chain.funds_of[alice.account.wallet] = ClientFunds(30, 0, 30, 0)
        answer = await ask(alice, max_tokens=400, stream=False)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
        assert await uses(here, alice) == []


@on_asyncio
async def test_whom_a_node_does_not_let_in_takes_its_replica_from_nobody(tmp_path: Path) -> None:
    async with paid(tmp_path, takes=False) as (here, alice):
        world = here.world
        asking = asyncio.create_task(ask(alice))
        for number in range(3):
            async with asyncio.timeout(60):
                while len(rows := await uses(here, alice)) <= number:  # noqa: ASYNC110 - nobody is told of a stored row
                    await asyncio.sleep(0.01)
            await world.collaborators.request_cancel(rows[-1].id)
        answer = await asking
        assert answer.status_code == 503
        assert "takes no requests of this account" in answer.json()["error"]["message"]
        (replica,) = here.pool.replicas.values()
        assert (replica.health.failures, replica.takes) == (0, True)


@on_asyncio
async def test_who_leaves_pays_for_what_came_and_the_server_stops(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + 3 * piece("w "))
        await reader.read()
        gone.set()

    async with (
        paid(tmp_path, well_but(endless)) as (here, alice),
        served(here.world) as address,
        httpx.AsyncClient(headers={"Authorization": f"Bearer {alice.key}"}) as http,
    ):
        body = {"model": MODEL, "prompt": "To be", "stream": True}
        url = f"http://{address}/v1/completions"
        async with http.stream("POST", url, json=body, timeout=60) as answer:
            lines = (line async for line in answer.aiter_lines() if line)
            for _ in range(3):
                assert '"w "' in await anext(lines)
        await asyncio.wait_for(gone.wait(), 30)
        (row,) = await uses(here, alice)
        async with asyncio.timeout(60):
            while not (units := await billed(here, row)).requests:  # noqa: ASYNC110 - nobody is told of a stored row
                await asyncio.sleep(0.01)
        assert units.output_tokens in (2, 3)
        assert here.pool.tally.requests == {"left": 1}


@on_asyncio
async def test_what_cannot_be_asked_is_refused_before_anybody_is(tmp_path: Path) -> None:
    async with paid(tmp_path) as (here, alice):
        for changes, field in (
            ({"logprobs": 2}, "logprobs"),
            ({"provider": {"max_price": {"request": "0.000001"}}}, "provider.max_price.request"),
            (
                {"max_tokens": 100, "provider": {"max_price": {"request": "0.000001"}}},
                "provider.max_price.request",
            ),
            ({"provider": {"max_price": {"completion": "-1"}}}, "provider.max_price.completion"),
        ):
            answer = await ask(alice, **changes)
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), changes
        answer = await ask(alice, provider={"max_price": {"completion": "0.09"}})
        assert answer.status_code == 503
        assert "max_price" in answer.json()["error"]["message"]
        assert await uses(here, alice) == []


@on_asyncio
async def test_requests_under_a_lease_make_no_events_and_those_of_the_lease_say_what_it_is(
    tmp_path: Path,
) -> None:
    async with paid(tmp_path) as (_, alice):
        events: list[list[dict[str, Any]]] = []
        for _ in range(3):
            await ask(alice)
            events.append((await alice.http.get("/api/v1/events")).json()["data"]["events"])
        assert {event["kind"] for event in events[0]} == {"use"}
        assert len(events[0]) <= 8
        assert events[0] == events[1] == events[2]


class Uncertain:
    """A database that once does not say whether it has stored what it was given."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.doubts = 1

    async def write(self, fn: Any, *args: Any) -> Any:
        return self._doubted(await self._database.write(fn, *args))

    async def write_briefly(self, fn: Any, *args: Any) -> Any:
        return self._doubted(await self._database.write_briefly(fn, *args))

    def _doubted(self, value: Any) -> Any:
        if self.doubts:
            self.doubts -= 1
            raise OutcomeUnknown("the server is gone")
        return value


@on_asyncio
async def test_a_note_whose_commit_nobody_knows_of_is_written_again_and_billed_once(
    tmp_path: Path,
) -> None:
    async with paid(tmp_path) as (here, alice):
        database: Any = Uncertain(here.world.database)
        notes = UseNotes(database, lambda: here.world.now_ms)
        writing = asyncio.create_task(notes.run())
        here.serving.payments = leases(here, notes, UseSettings())
        assert events_of(await ask(alice))[-1] == "[DONE]"
        assert not database.doubts
        (row,) = await uses(here, alice)
        assert await billed(here, row) == Units(READ, 0, WORDS, 0, 0, 1)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
