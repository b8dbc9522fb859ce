"""A key that is revoked: its answers end, what was delivered is paid, and its account's leases for use end when nobody else is answered."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import HEAD, ReplicaWorld, well_but
from coordinator.test_hostile_servers import error_of, noted
from coordinator.test_paid_use import ask, events_of, paid, piece, tokens_of, uses
from neurogrid_coordinator.api import key_watch
from neurogrid_coordinator.paid_use.ended_keys import EndedKeys
from neurogrid_coordinator.paid_use.leases import UseLeases
from neurogrid_coordinator.store import accounts

WORDS = 3


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_watch, "_LOOK_S", 0.02)


class Slow:
    """A server that says three words, and the rest when it is let; of a whole answer, nothing before."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.left = 0
        self.asked = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        writer.write(HEAD + WORDS * piece("w "))
        await writer.drain()
        ending = asyncio.create_task(self.may_end.wait())
        gone = asyncio.create_task(reader.read())
        await asyncio.wait({ending, gone}, return_when=asyncio.FIRST_COMPLETED)
        self.left += gone.done()
        for each in (ending, gone):
            each.cancel()
        writer.write(piece("", "stop") + b"data: [DONE]\n\n")


@asynccontextmanager
async def slow(folder: Path) -> AsyncIterator[tuple[ReplicaWorld, Customer, Slow, EndedKeys]]:
    server = Slow()
    async with paid(folder, well_but(server.serve)) as (here, alice):
        payments = here.serving.payments
        assert isinstance(payments, UseLeases)
        ended = EndedKeys(payments, here.world.database, here.world.request_cancel)
        yield here, alice, server, ended


async def revoke(here: ReplicaWorld, secret: str) -> None:
    """As another process does: no word of it reaches this one."""
    key = await here.world.database.read(accounts.find_key, secret, 1)
    now_ms = time.time_ns() // 1_000_000
    await here.world.database.write(accounts.revoke_key, key.id, now_ms)


async def at_work(here: ReplicaWorld, customer: Customer) -> None:
    """Three words of an answer have reached its client."""
    async with asyncio.timeout(30):
        while await tokens_of(here, customer) < WORDS:  # noqa: ASYNC110 - nobody is told of a note
            await asyncio.sleep(0.01)


@on_asyncio
async def test_a_stream_ends_with_its_key_and_costs_what_came(tmp_path: Path) -> None:
    async with slow(tmp_path) as (here, alice, server, ended):
        asking = asyncio.create_task(ask(alice))
        await at_work(here, alice)
        await ended.look()
        (row,) = await uses(here, alice)
        assert not row.state.cancel_requested
        await revoke(here, alice.key)
        pieces, error = await error_of(await asking)
        assert len(pieces) == WORDS
        assert "revoked" in error["message"]
        await here.until(lambda: server.left == 1)
        await noted(here, alice, WORDS)
        await ended.look()
        await ended.look()
        (row,) = await uses(here, alice)
        assert row.state.cancel_requested


@on_asyncio
async def test_a_whole_answer_ends_with_its_key_and_costs_nothing(tmp_path: Path) -> None:
    async with slow(tmp_path) as (here, alice, server, _):
        asking = asyncio.create_task(ask(alice, stream=False))
        await here.until(lambda: server.asked == 1)
        await revoke(here, alice.key)
        answer = await asking
        assert answer.status_code == 401
        assert "revoked" in answer.json()["error"]["message"]
        await here.until(lambda: server.left == 1)
        await noted(here, alice, 0)


@on_asyncio
async def test_what_an_accounts_other_keys_ask_goes_on_under_another_lease(tmp_path: Path) -> None:
    async with slow(tmp_path) as (here, alice, server, ended):
        now_ms = time.time_ns() // 1_000_000
        other = await here.world.database.write(
            lambda conn: (
                accounts.issue_key(conn, alice.account.id, "other", ("read",), now_ms).secret
            )
        )
        asking = asyncio.create_task(ask(alice))
        await at_work(here, alice)
        await revoke(here, other)
        await ended.look()
        (first,) = await uses(here, alice)
        assert not first.state.cancel_requested, "somebody is answered under it"
        another = asyncio.create_task(ask(alice))
        await here.until(lambda: server.asked == 2)
        server.may_end.set()
        lasts = [events_of(await each)[-2] for each in (asking, another)]
        assert len({last["neurogrid"]["task_id"] for last in lasts}) == 2
        await ended.look()
        before, after = sorted(await uses(here, alice), key=lambda row: row.created_at_ms)
        assert (before.id, before.state.cancel_requested) == (first.id, True)
        assert not after.state.cancel_requested


@on_asyncio
async def test_nobody_elses_leases_end_with_a_key(tmp_path: Path) -> None:
    async with slow(tmp_path) as (here, alice, server, ended):
        server.may_end.set()
        bob = await here.world.customer("bob")
        for customer in (alice, bob):
            await ask(customer)
        await revoke(here, alice.key)
        await ended.look()
        cancelled = {row.account_id: row.state.cancel_requested for row in await uses(here)}
        assert cancelled == {alice.account.id: True, bob.account.id: False}
