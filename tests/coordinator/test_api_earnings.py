"""What a provider earns, sends on and redeems over REST."""

import base64
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from solders.message import from_bytes_versioned

from coordinator.api_world import GIB, TASK, USDC, Customer, World, keys_of, node_view, open_world
from coordinator.error_answers import check_error
from coordinator.fake_wallet_chain import escrow_account, provider_account
from coordinator.on_asyncio import on_asyncio
from coordinator.records import node_id, wallet
from neurogrid_contracts.accounts import EscrowState
from neurogrid_contracts.instructions.wire import Tag
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.resources import Capacity

EARNINGS = "/api/v1/provider/earnings"
PAYOUTS = "/api/v1/provider/payouts"
STAKE = "/api/v1/provider/stake"
RESOURCES = "/api/v1/provider/resources"
TASKS = "/api/v1/provider/tasks"
# The same request is signed again with another time, and all of them are of about now.
_SECONDS = itertools.cycle(range(-30, 30))


async def provider(world: World, name: str = "owner") -> Customer:
    return await world.customer(name, roles=("provider",))


async def post(who: Customer, url: str, body: Any = None, key: str = "") -> httpx.Response:
    """Signed by the wallet, as what moves money has to be."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = who.signed("POST", url, content, int(time.time()) + next(_SECONDS))
    if key:
        headers["Idempotency-Key"] = key
    return await who.http.post(url, content=content, headers=headers)


async def run(world: World, client: Customer, owner: str) -> tuple[str, str]:
    """A task that has run on a node of this wallet: its id and its lease's."""
    task_id = (await client.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
    lease = (await world.start(task_id, owner)).lease
    assert lease is not None
    await world.finish(task_id)
    return task_id, lease.lease_id


async def data(who: Customer, url: str) -> Any:
    answer = await who.http.get(url)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def tags_of(made: dict[str, Any], count: int) -> list[int]:
    """What the last instructions of a transaction to sign are."""
    message = from_bytes_versioned(base64.b64decode(made["message"]))
    return [bytes(one.data)[0] for one in message.instructions[-count:]]


@pytest.mark.both_databases
@on_asyncio
async def test_a_provider_sees_what_its_own_nodes_earned(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, owner = await world.customer("alice"), await provider(world)
        mine = owner.account.wallet
        done = [await run(world, alice, mine) for _ in range(2)]
        for task_id, _ in done:
            await world.pay(task_id)
        _, left = await run(world, alice, mine)
        await world.pay((await run(world, alice, wallet("somebody else")))[0])
        found = await data(owner, EARNINGS)
        assert found.pop("end_date") >= found.pop("start_date")
        assert found == {
            "currency": "USDC",
            "paid": "0.002",
            "jobs": 2,
            "nodes": [{"node_id": node_id("one"), "jobs": 2, "paid": "0.002"}],
            "open": {"jobs": 1, "escrowed": "0.36", "promised": "0.001"},
        }
        jobs = await data(owner, f"{EARNINGS}/jobs")
        assert (jobs["total"], jobs["jobs"][0]["status"]) == (2, "settled")
        assert {job["lease_id"] for job in jobs["jobs"]} == {lease for _, lease in done}
        assert alice.account.id not in str(jobs)
        assert "task" not in str(jobs), "whose task it was is its client's affair"
        (job,) = (await data(owner, f"{EARNINGS}/jobs?status=open"))["jobs"]
        assert (job["lease_id"], job["settled_at"]) == (left, None)
        assert (job["paid"], job["escrowed"]) == ("0.001", "0.36")
        before = await data(owner, f"{EARNINGS}?start_date=2025-01-01&end_date=2025-01-31")
        assert (before["start_date"], before["end_date"]) == ("2025-01-01", "2025-01-31")
        assert (before["paid"], before["jobs"], before["nodes"]) == ("0.00", 0, [])
        first = await data(owner, f"{EARNINGS}?end_date=0001-01-01")
        assert (first["start_date"], first["end_date"]) == ("0001-01-01", "0001-01-01")
        assert (await data(owner, f"{EARNINGS}/jobs?end_date=2025-01-31"))["total"] == 0


@on_asyncio
async def test_what_a_dead_node_left_is_redeemed_by_its_owner(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, owner = await world.customer("alice"), await provider(world)
        mine, escrow = owner.account.wallet, wallet("escrow")
        world.wallets.providers[mine] = provider_account(mine, staked=USDC)
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        lease = (await world.start(task_id, mine)).lease
        assert lease is not None
        url = f"{EARNINGS}/{lease.lease_id}/claim"
        early = await post(owner, url)
        assert "is not over" in check_error(early, 409, "CONFLICT")
        await world.finish(task_id)
        gone = await post(owner, url)
        assert "paid already" in check_error(gone, 409, "CONFLICT")
        world.wallets.escrows[escrow] = escrow_account(10 * USDC)
        made = (await post(owner, url, key="one")).json()["data"]
        assert (made["kind"], made["amount"], made["wallet"]) == ("claim", "0.001", mine)
        assert made["does"] == [
            "redeem what is signed: 0.001 USDC, less the market's fee of 0.00002",
            f"they are paid to {mine}",
            "close the escrow; 9.999 USDC go back to its client",
        ]
        again = await post(owner, url, key="one")
        assert (again.status_code, again.json()["data"]["id"]) == (200, made["id"])
        assert tags_of(made, 1) == [Tag.CLAIM_VOUCHER]
        world.wallets.escrows[escrow] = escrow_account(10 * USDC, EscrowState.DISPUTED)
        disputed = (await post(owner, url)).json()["data"]
        assert "stays open for the arbiter" in disputed["does"][-1]
        for who, lease_id in [(await provider(world, "mallory"), lease.lease_id), (owner, "x")]:
            missing = await post(who, f"{EARNINGS}/{lease_id}/claim")
            check_error(missing, 404, "NOT_FOUND")


@on_asyncio
async def test_a_payout_sends_the_wallets_own_money_on(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        owner = await provider(world)
        body = {"amount": "2.50", "currency": "USDC", "wallet_address": keys_of("cold").address}
        check_error(await owner.http.post(PAYOUTS, json=body), 401, "SIGNATURE_REQUIRED")
        made = (await post(owner, PAYOUTS, body)).json()["data"]
        assert (made["kind"], made["amount"]) == ("payout", "2.50")
        assert made["wallet_address"] == keys_of("cold").address
        assert made["does"][0] == f"send 2.50 USDC to {keys_of('cold').address}"
        listed = await data(owner, PAYOUTS)
        assert ([one["id"] for one in listed["payouts"]], listed["total"]) == ([made["id"]], 1)
        much = await post(owner, PAYOUTS, {**body, "amount": "6"})
        assert "5.00" in check_error(much, 402, "INSUFFICIENT_CREDITS")
        own = await post(owner, PAYOUTS, {**body, "wallet_address": owner.account.wallet})
        assert "by itself" in check_error(own, 422, "INVALID_REQUEST")
        other = await post(owner, PAYOUTS, {**body, "currency": "USDT"})
        assert "Change it into USDC" in check_error(other, 422, "INVALID_REQUEST")


@on_asyncio
async def test_stake_goes_in_and_out_by_what_the_wallet_signs(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        owner = await provider(world)
        mine = owner.account.wallet
        new = await data(owner, STAKE)
        assert (new["registered"], new["staked"], new["minimum"]) == (False, "0.00", "5.00")
        check_error(await owner.http.post(STAKE, json={"amount": "5"}), 401, "SIGNATURE_REQUIRED")
        first = (await post(owner, STAKE, {"amount": "5.00", "currency": "USDC"})).json()["data"]
        assert first["kind"] == "stake"
        assert f"is paid to {mine} for good" in first["does"][0]
        assert tags_of(first, 2) == [Tag.REGISTER_PROVIDER, Tag.STAKE]
        poor = await post(owner, STAKE, {"amount": "5.01"})
        assert "5.00 are in the wallet" in check_error(poor, 402, "INSUFFICIENT_CREDITS")
        nothing = await post(owner, f"{STAKE}/withdraw")
        assert "unstake first" in check_error(nothing, 409, "CONFLICT")
        world.wallets.providers[mine] = provider_account(mine, staked=20 * USDC, unbonding=3 * USDC)
        shown = await data(owner, STAKE)
        assert shown == {
            "wallet": mine,
            "registered": True,
            "staked": "20.00",
            "free": "20.00",
            "bonded": "0.00",
            "unbonding": "3.00",
            "withdrawable_at": "1970-01-21T00:00:00.000Z",
            "slashed": "0.00",
            "minimum": "5.00",
            "unbonding_days": 10.0,
            "earned": "3.00",
            "jobs_completed": 3,
            "open_escrows": 1,
            "payout_wallet": mine,
            "in_wallet": "5.00",
            "currency": "USDC",
        }
        out = (await post(owner, f"{STAKE}/unstake", {"amount": "16"})).json()["data"]
        assert (out["kind"], tags_of(out, 1)) == ("unstake", [Tag.REQUEST_UNSTAKE])
        assert "from 1970-01-26 00:00 UTC on" in out["does"][1]
        assert out["does"][-1] == "that is too little for new jobs"
        more = await post(owner, f"{STAKE}/unstake", {"amount": "20.01"})
        check_error(more, 402, "INSUFFICIENT_CREDITS")
        early = await post(owner, f"{STAKE}/withdraw")
        assert "until 1970-01-21" in check_error(early, 409, "CONFLICT")
        world.wallets.now_unix_s *= 2
        back = (await post(owner, f"{STAKE}/withdraw")).json()["data"]
        assert (back["kind"], back["amount"]) == ("stake_withdrawal", "3.00")
        assert tags_of(back, 1) == [Tag.WITHDRAW_STAKE]
        again = (await post(owner, f"{STAKE}/rebond", {"amount": "2"})).json()["data"]
        assert (again["kind"], tags_of(again, 1)) == ("rebond", [Tag.REBOND])
        assert again["does"][1].startswith("then staked: 22.00 USDC")
        much = await post(owner, f"{STAKE}/rebond", {"amount": "3.01"})
        assert "3.00 of the stake" in check_error(much, 402, "INSUFFICIENT_CREDITS")
        world.wallets.away = True
        check_error(await owner.http.get(STAKE), 503, "UNAVAILABLE")


@on_asyncio
async def test_a_provider_account_is_closed_when_nothing_is_left_of_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        owner = await provider(world)
        mine, close = owner.account.wallet, f"{STAKE}/close"
        check_error(await owner.http.post(close), 401, "SIGNATURE_REQUIRED")
        assert "no provider" in check_error(await post(owner, close), 409, "CONFLICT")
        staked = provider_account(mine, staked=USDC)
        for account, why in [
            (staked, "escrows are open"),
            (replace(staked, open_escrows=0), "1.00 USDC are staked"),
        ]:
            world.wallets.providers[mine] = account
            assert why in check_error(await post(owner, close), 409, "CONFLICT")
        empty = replace(staked, open_escrows=0, staked_micro_usdc=0)
        world.wallets.providers[mine] = empty
        made = (await post(owner, close)).json()["data"]
        assert (made["kind"], made["amount"]) == ("close", "0.00")
        assert tags_of(made, 1) == [Tag.CLOSE_PROVIDER]


@on_asyncio
async def test_an_escrow_of_which_nothing_is_due_is_given_up(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, owner = await world.customer("alice"), await provider(world)
        mine, escrow = owner.account.wallet, wallet("escrow")
        world.wallets.providers[mine] = provider_account(mine, staked=USDC)
        _, lease_id = await run(world, alice, mine)
        paid = replace(escrow_account(10 * USDC), released_micro_usdc=1_000)
        world.wallets.escrows[escrow] = paid
        made = (await post(owner, f"{EARNINGS}/{lease_id}/claim")).json()["data"]
        assert tags_of(made, 0) == [Tag.RELINQUISH]
        assert made["does"][-1] == "close the escrow; 9.999 USDC go back to its client"
        world.wallets.escrows[escrow] = replace(paid, state=EscrowState.DISPUTED)
        disputed = await post(owner, f"{EARNINGS}/{lease_id}/claim")
        assert "arbiter closes it" in check_error(disputed, 409, "CONFLICT")


@on_asyncio
async def test_an_owner_sees_its_machines_and_what_they_do(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice, owner = await world.customer("alice"), await provider(world)
        mine = owner.account.wallet
        task_id = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]["id"]
        lease = (await world.start(task_id, mine)).lease
        assert lease is not None
        running = LeaseStatus(lease.lease_id, LeasePhase.RUNNING, 5_000, 250)
        view = replace(node_view("one", wallet=mine), leases=(running,))
        await world.nodes.on_node(node_id("one"), "joined", view)
        paused = node_view("paused", wallet=mine, accepting=False, total=Capacity(1000, GIB, GIB))
        await world.nodes.on_node(paused.offer.node_id, "joined", paused)
        found = (await data(owner, RESOURCES))["resources"]
        assert sorted(one["status"] for one in found) == ["available", "paused"]
        (gpu,) = (await data(owner, f"{RESOURCES}?type=gpu&status=available"))["resources"]
        assert (gpu["id"], gpu["running_tasks"], gpu["location"]) == (node_id("one"), 1, "eu-west")
        assert (gpu["specifications"]["model"], gpu["specifications"]["gpu_count"]) == (
            "NVIDIA L4",
            1,
        )
        assert (gpu["pricing"]["per_hour"], gpu["pricing"]["per_gpu"]) == ("1.10", "1.00")
        assert await data(owner, f"{RESOURCES}/{node_id('one')}") == gpu
        others = await owner.http.get(f"{RESOURCES}/{node_id('two')}")
        check_error(others, 404, "NOT_FOUND")
        assert (await data(owner, f"{RESOURCES}?status=offline"))["total"] == 0
        (work,) = (await data(owner, TASKS))["tasks"]
        assert (work["lease_id"], work["resource_id"]) == (lease.lease_id, node_id("one"))
        assert (work["status"], work["progress"], work["metered_seconds"]) == ("running", 25.0, 5.0)
        assert task_id not in str(work)
        await world.finish(task_id)
        await world.pay(task_id)
        assert (await data(owner, TASKS))["total"] == 0
