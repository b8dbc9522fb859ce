"""Who waits for a replica can pay for it: nobody else takes a place in the queue, or has a server begun that others pay for."""

import asyncio
from pathlib import Path

import pytest

from coordinator.api_world import Customer
from coordinator.on_asyncio import on_asyncio
from coordinator.replica_world import MODEL, open_replica_world
from coordinator.test_paid_use import WHOLE, ask, leases, paid, uses
from neurogrid_coordinator.money.client_funds import ClientFunds
from neurogrid_coordinator.paid_use.leases import UseSettings
from neurogrid_coordinator.paid_use.notes import UseNotes

EMPTY = ClientFunds(0, 0, 0, 0)


@pytest.mark.both_databases
@on_asyncio
async def test_an_account_without_money_has_no_replica_begun_and_does_not_wait(
    tmp_path: Path,
) -> None:
    async with open_replica_world(tmp_path, features=("stream",)) as here:
        notes = UseNotes(here.world.database, lambda: here.world.now_ms)
        here.serving.payments = leases(here, notes, UseSettings())
        mallory = await here.world.customer("mallory")
        here.world.chain.funds_of[mallory.account.wallet] = EMPTY
        answers = await asyncio.gather(*(ask(mallory) for _ in range(3)))
        assert {answer.status_code for answer in answers} == {429}
        assert {answer.json()["error"]["code"] for answer in answers} == {"insufficient_quota"}
        assert here.pool.tally.requests == {"refused": 3}
        assert here.pool.waiting == 0
        await here.upkeep.look()
        assert await here.rows() == []
        # Who has money waits, and has one begun.
        alice = await here.world.customer("alice")
        asking = asyncio.create_task(ask(alice))
        await here.until(lambda: here.pool.waiting == 1)
        await here.upkeep.look()
        assert len(await here.rows()) == 1
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@on_asyncio
async def test_an_account_whose_money_is_in_its_lease_waits_as_all_do(tmp_path: Path) -> None:
    async with paid(tmp_path, WHOLE) as (here, alice):
        assert (await ask(alice)).status_code == 200
        assert len(await uses(here, alice)) == 1
        here.world.chain.funds_of[alice.account.wallet] = EMPTY
        (replica,) = here.pool.replicas.values()
        replica.at_work = here.pool.limits.concurrency
        asking = asyncio.create_task(ask(alice))
        await here.until(lambda: here.pool.waiting == 1)
        replica.at_work = 0
        here.pool.dispatch()
        assert (await asking).status_code == 200


@on_asyncio
async def test_keys_of_one_account_are_one_tenant(tmp_path: Path) -> None:
    """However many keys it has: what bounds and orders its requests is the account."""
    async with open_replica_world(tmp_path, features=("stream",)) as here:
        alice = await here.world.customer("alice")
        secret, other = await here.world.key_of(alice.account)
        assert secret
        asking = [
            asyncio.create_task(
                http.post("/v1/completions", json={"model": MODEL, "prompt": "x", "stream": True})
            )
            for http in [alice.http, other] * 10
        ]
        await here.until(lambda: here.pool.waiting == 20)
        # The entry's `concurrency` of one account.
        refused = await alice.http.post("/v1/completions", json={"model": MODEL, "prompt": "x"})
        again = await other.post("/v1/completions", json={"model": MODEL, "prompt": "x"})
        assert (refused.status_code, again.status_code) == (429, 429)
        assert here.pool.unfinished(alice.account.id) == 20
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


async def limit(customer: Customer, usdc: str) -> None:
    """What the account lets itself spend in a month."""
    answer = await customer.http.put("/api/v1/account/limits", json={"monthly_budget": usdc})
    assert answer.status_code == 200, answer.text


@on_asyncio
async def test_a_limit_of_its_own_stops_an_account_by_units_too(tmp_path: Path) -> None:
    async with paid(tmp_path, WHOLE) as (here, alice):
        # Less than the least that an escrow holds, while its replica is warm, and while none is.
        await limit(alice, "0.0009")
        (replica,) = here.pool.replicas.values()
        for at_work in (0, here.pool.limits.concurrency):
            replica.at_work = at_work
            refused = await ask(alice)
            error = refused.json()["error"]
            assert (refused.status_code, error["code"]) == (429, "insufficient_quota")
            assert error["neurogrid"]["details"]["limit"] == "monthly_budget"
        assert here.pool.waiting == 0
        assert await uses(here, alice) == []
        replica.at_work = 0
        # What is left of it is the most that the escrow holds.
        await limit(alice, "0.01")
        assert (await ask(alice)).status_code == 200
        (row,) = await uses(here, alice)
        assert row.state.demand.max_cost_micro_usdc() <= 10_000
