"""Roles over REST: what a key acts as, what it can make, and how a role is taken away."""

from pathlib import Path
from typing import Any

import httpx

from coordinator.api_world import TASK, open_world
from coordinator.error_answers import check_error
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import accounts
from neurogrid_coordinator.store.accounts import ROLES, SCOPES

KEYS = "/api/v1/api-keys"
TASKS = "/api/v1/tasks"
ACCOUNTS = "/api/v1/operator/accounts"


async def made(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post(KEYS, json={"name": "one", "scopes": ["read", "write"], **body})
    assert answer.status_code == 201, answer.text
    data = answer.json()["data"]
    assert isinstance(data, dict)
    return data


@on_asyncio
async def test_a_providers_key_spends_nothing_and_still_sees_the_market(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=SCOPES)
        key = await made(alice.http, roles=["provider"])
        assert key["roles"] == ["provider"]
        program = world.client(key["secret"])
        answer = await program.post(TASKS, json=TASK)
        message = check_error(answer, 403, "FORBIDDEN")
        assert "role client" in message
        assert "another key" in message
        assert answer.json()["error"]["details"] == {"roles": ["client"]}
        assert (await program.get("/api/v1/nodes")).status_code == 200
        account = (await program.get("/api/v1/account")).json()["data"]
        assert account["roles"] == ["client", "provider"]


@on_asyncio
async def test_no_key_makes_one_that_acts_as_more_than_itself(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", scopes=SCOPES, roles=ROLES)
        _, lesser = await world.key_of(alice.account, SCOPES, roles=("client",))
        body = {"name": "more", "scopes": ["read"], "roles": ["client", "operator"]}
        answer = await lesser.post(KEYS, json=body)
        check_error(answer, 403, "FORBIDDEN")
        assert answer.json()["error"]["details"] == {"roles": ["operator"]}
        greater = (await alice.http.get(f"{KEYS}/current")).json()["data"]["id"]
        check_error(await lesser.post(f"{KEYS}/{greater}/rotate", json={}), 403, "FORBIDDEN")
        # What an operator's key makes is no operator's, unless it is said.
        assert (await made(alice.http))["roles"] == ["client", "provider"]
        assert (await made(alice.http, roles=["operator"]))["roles"] == ["operator"]
        odd = await alice.http.post(KEYS, json={**body, "roles": ["king"]})
        check_error(odd, 422, "INVALID_REQUEST")


@on_asyncio
async def test_a_role_that_an_account_lost_is_gone_from_its_keys(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", roles=ROLES)
        listed = (await alice.http.get(ACCOUNTS)).json()["data"]
        assert (listed["total"], listed["accounts"][0]["roles"]) == (1, [*ROLES])
        await world.database.write(
            lambda conn: accounts.set_roles(conn, alice.account.id, ("provider",))
        )
        # A key that this process has not seen yet; one that it knows is looked up again within a second.
        _, late = await world.key_of(alice.account, roles=ROLES)
        message = check_error(await late.get(ACCOUNTS), 403, "FORBIDDEN")
        assert "your account does not have" in message
        check_error(await late.get(TASKS), 403, "FORBIDDEN")


@on_asyncio
async def test_all_accounts_are_paged(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice", roles=("operator",))
        await world.customer("bob")
        page = (await alice.http.get(ACCOUNTS, params={"limit": 1, "offset": 1})).json()["data"]
        assert (page["total"], [one["name"] for one in page["accounts"]]) == (2, ["bob"])
        check_error(await alice.http.get(f"{ACCOUNTS}?limit=101"), 422, "INVALID_REQUEST")
