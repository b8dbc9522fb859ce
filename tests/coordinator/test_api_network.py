"""Hosts that a job may reach, over the api: what is stored, shown and refused."""

from pathlib import Path

import pytest

from coordinator.api_world import TASK, node_view, open_world
from coordinator.on_asyncio import on_asyncio
from neurogrid_coordinator.store import tasks
from neurogrid_marketplace.network import (
    HostUse,
    Network,
    NetworkTerms,
    NetworkUse,
    Refusal,
    Refused,
)

ANY = NetworkTerms((), (), 10**10, 100)


@on_asyncio
async def test_a_task_asks_for_hosts_and_its_demand_and_job_say_so(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.market.views = [node_view("one", network=ANY)]
        alice = await world.customer("alice")
        wanted = {**TASK, "network": {"allow": ["ExAmPle.org", "*.example.com"]}}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        assert task["network"] == {"allow": ["example.org", "*.example.com"], "use": None}
        row = await world.database.read(tasks.get, task["id"])
        assert row is not None
        assert (
            row.job.network == row.state.demand.network == Network(("example.org", "*.example.com"))
        )
        plain = (await alice.http.post("/api/v1/tasks", json=TASK)).json()["data"]
        assert plain["network"] is None


@on_asyncio
async def test_nodes_that_do_not_let_jobs_reach_all_of_it_are_not_counted(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.market.views = [
            node_view("one"),
            node_view("two", network=NetworkTerms(("example.org",), (), 10**10, 100)),
        ]
        alice = await world.customer("alice")
        wanted = {**TASK, "network": {"allow": ["example.org", "example.com"]}}
        error = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["error"]
        assert error["code"] == "NODE_UNAVAILABLE"
        explained = (await alice.http.post("/api/v1/match/explain", json=wanted)).json()["data"]
        assert explained["matching"] == 0
        reasons = [reason for each in explained["nearest"] for reason in each["reasons"]]
        assert sorted(reasons) == [
            "network: does not let jobs reach example.com",
            "network: lets jobs reach no network",
        ]


@pytest.mark.parametrize(
    ("allow", "says"),
    [
        ([], "allow"),
        (["a.example"] * 33, "allow"),
        (["10.0.0.1"], "network.allow: '10.0.0.1' is no host"),
        (["b\u00fccher.example"], "xn--"),
        (["example.com:25"], "port 25"),
        (["a.example", "A.example"], "listed twice"),
    ],
)
@on_asyncio
async def test_lists_that_are_refused(tmp_path: Path, allow: list[str], says: str) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json={**TASK, "network": {"allow": allow}})
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert error["code"] == "INVALID_REQUEST"
        assert says in error["message"]


@on_asyncio
async def test_what_a_run_did_is_shown_as_its_node_signed_it(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.market.views = [node_view("one", network=ANY)]
        alice = await world.customer("alice")
        wanted = {**TASK, "network": {"allow": ["example.org"]}}
        task = (await alice.http.post("/api/v1/tasks", json=wanted)).json()["data"]
        use = NetworkUse(
            2,
            100,
            2000,
            1,
            (HostUse("example.org", 443, 2, 100, 2000),),
            (Refusal("evil.example", 443, Refused.NOT_LISTED, 1),),
        )
        await world.start(task["id"])
        await world.finish(task["id"], network=use)
        shown = (await alice.http.get(f"/api/v1/tasks/{task['id']}")).json()["data"]["network"]
        assert shown["use"]["received_bytes"] == 2000
        assert shown["use"]["hosts"][0]["host"] == "example.org"
        assert shown["use"]["refusals"] == [
            {
                "host": "evil.example",
                "port": 443,
                "reason": "host_not_listed",
                "meaning": "a host or port that is not on the task's list",
                "count": 1,
            }
        ]
