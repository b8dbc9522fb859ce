"""``/tasks/{id}/port`` over a real socket, to a real job; and who is kept out."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.api_world import TASK, open_world
from coordinator.on_asyncio import on_asyncio
from coordinator.running_job import SERVING, into
from engine.job_host import JobHost
from engine.serving import SERVICE_PORT
from neurogrid_coordinator.services import job_access
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus

pytestmark = pytest.mark.engine


@on_asyncio
async def test_a_connection_is_carried_to_the_job(host: JobHost, tmp_path: Path) -> None:
    async with into(host, tmp_path, "port") as here, here.connect() as socket:
        await socket.send(json.dumps({"credit": True}))
        assert json.loads(await socket.recv()) == {"type": "started"}
        await socket.send(b"echo\ngiven")
        await socket.send(json.dumps({"type": "end_of_input"}))
        said = b""
        words: dict[str, Any] = {}
        while words.get("type") != "exited":
            message = await socket.recv()
            if isinstance(message, bytes):
                assert message[:1] == b"\x01"
                said += message[1:]
            else:
                words = json.loads(message)
        assert said == b"givenbye"
        assert words == {"type": "exited", "exit_code": 0, "reason": "exited"}


@on_asyncio
async def test_a_task_shows_whether_its_service_is_ready(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        wanted = {"port": SERVICE_PORT, "health": "/health", "start_seconds": 60}
        answer = await alice.http.post("/api/v1/tasks", json={**SERVING, "service": wanted})
        task_id = answer.json()["data"]["id"]
        assert answer.json()["data"]["service"] == {**wanted, "ready": False}
        task = await world.start(task_id)
        assert task.lease is not None
        for is_ready in (True, False):
            view = world.market.views[0]
            status = LeaseStatus(task.lease.lease_id, LeasePhase.RUNNING, ready=is_ready)
            node = task.lease.node_id
            await world.nodes.on_node(node, "heartbeat", replace(view, leases=(status,)))
            shown = (await alice.http.get(f"/api/v1/tasks/{task_id}")).json()["data"]
            assert shown["service"]["ready"] is is_ready


@on_asyncio
async def test_who_is_kept_out(
    host: JobHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with into(host, tmp_path, "port") as here:
        bob = await here.world.customer("bob")
        for key, status in ((bob.key, 404), ("ng_nobody", 401)):
            assert (await here.refused(key))[0] == status
        monkeypatch.setattr(job_access, "CONNECTIONS_PER_ACCOUNT", 1)
        async with here.connect() as first, here.connect() as second:
            await first.send("{}")
            assert json.loads(await first.recv()) == {"type": "started"}
            await second.send("{}")
            refused = json.loads(await second.recv())
            assert (refused["status"], refused["error"]["details"]) == (
                409,
                {"reason": "too_many"},
            )


@on_asyncio
async def test_a_task_without_a_port_has_none(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        task = (await alice.http.post("/api/v1/tasks", json={**TASK, "wait_for_node": True})).json()
        answer = await alice.http.get(f"/api/v1/tasks/{task['data']['id']}/port")
        assert (answer.status_code, answer.json()["error"]["details"]) == (
            409,
            {"reason": "no_service"},
        )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"service": {"port": 3128}}, "service.port"),
        ({"service": {"port": 0}}, "service.port"),
        ({"service": {"port": 80, "health": "well"}}, "service.health"),
        ({"verification": {"mode": "quorum"}}, "service"),
        ({"gang": {"size": 2}}, "gang"),
        ({"inputs": [{"path": "x", "sha256": "1" * 64, "sealed": True}]}, "service"),
    ],
)
@on_asyncio
async def test_what_a_service_does_not_go_with(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json={**SERVING, **changes})
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["details"] == {"field": field}


@on_asyncio
async def test_only_nodes_that_take_clients_to_ports_are_asked(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        alice = await world.customer("alice")
        body = {**SERVING, "wait_for_node": False}
        answer = await alice.http.post("/api/v1/tasks", json=body)
        error = answer.json()["error"]
        assert error["code"] == "NODE_UNAVAILABLE"
        assert "access" in json.dumps(error)
