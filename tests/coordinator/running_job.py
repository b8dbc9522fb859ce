"""A served world with a running task of Alice's, and the WebSockets into its job."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from coordinator.api_world import TASK, Customer, World, open_world
from coordinator.records import NOW_MS
from coordinator.served import served
from engine.job_host import JobHost
from engine.serving import SERVICE_PORT
from neurogrid_coordinator.store import accounts

INTERACTIVE = {**TASK, "interactive": True, "wait_for_node": True}
SERVING = {**TASK, "service": {"port": SERVICE_PORT}, "wait_for_node": True}
# What a job has to be for the WebSocket whose path ends so.
_WANTED = {"exec": INTERACTIVE, "port": SERVING}


@dataclass(frozen=True)
class Place:
    """See the module; ``way``: the end of the WebSocket's path."""

    world: World
    address: str
    alice: Customer
    task_id: str
    way: str

    def connect(self, key: str | None = None, task_id: str | None = None) -> connect:
        """A WebSocket, by default Alice's to her task; with an empty key as nobody."""
        secret = self.alice.key if key is None else key
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        url = f"ws://{self.address}/api/v1/tasks/{task_id or self.task_id}/{self.way}"
        return connect(url, additional_headers=headers)

    async def end_key(self) -> None:
        """Revoke Alice's key as the operator's command does, of which the api process hears nothing."""
        key = await self.world.database.read(accounts.find_key, self.alice.key, 1)
        await self.world.database.write(accounts.revoke_key, key.id, NOW_MS)

    async def refused(self, key: str | None = None, task_id: str | None = None) -> tuple[int, Any]:
        """Status and error of a handshake that is refused."""
        with pytest.raises(InvalidStatus) as caught:
            async with self.connect(key, task_id):
                pass
        answer = caught.value.response
        return answer.status_code, json.loads(answer.body or b"")["error"]


@asynccontextmanager
async def place(folder: Path, way: str, open_stream: Any = None) -> AsyncGenerator[Place]:
    """``open_stream``: how the coordinator gets into the job."""
    async with open_world(folder, open_job_stream=open_stream) as world, served(world) as address:
        alice = await world.customer("alice")
        answer = await alice.http.post("/api/v1/tasks", json=_WANTED[way])
        assert answer.status_code == 201, answer.text
        task_id = answer.json()["data"]["id"]
        await world.start(task_id)
        yield Place(world, address, alice, task_id, way)


@asynccontextmanager
async def into(host: JobHost, folder: Path, way: str) -> AsyncGenerator[Place]:
    """As `place`, with a real job on ``host``."""
    async with place(folder, way, host.open_stream) as here:
        detail = (await here.alice.http.get(f"/api/v1/tasks/{here.task_id}")).json()["data"]
        host.adopt(detail["leases"][-1]["id"])
        yield here
