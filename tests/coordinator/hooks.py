"""Webhooks of tests: made, and asked for what became of them."""

from typing import Any

import httpx

from coordinator.api_world import TASK, Customer, World
from coordinator.receiver import Receiver

HOOKS = "/api/v1/webhooks"


async def made(customer: Customer, receiver: Receiver, **changes: Any) -> dict[str, Any]:
    body = {"url": receiver.url, "events": ["task.completed"], **changes}
    answer = await customer.http.post(HOOKS, json=body)
    assert answer.status_code == 201, answer.text
    found = answer.json()["data"]
    assert isinstance(found, dict)
    return found


async def completed(world: World, customer: Customer, **changes: Any) -> str:
    answer = await customer.http.post("/api/v1/tasks", json={**TASK, **changes})
    task_id = str(answer.json()["data"]["id"])
    await world.start(task_id)
    await world.finish(task_id)
    return task_id


async def listed(http: httpx.AsyncClient, hook: dict[str, Any], query: str = "") -> Any:
    return (await http.get(f"{HOOKS}/{hook['id']}/deliveries{query}")).json()["data"]


async def shown(http: httpx.AsyncClient, hook: dict[str, Any]) -> Any:
    return (await http.get(f"{HOOKS}/{hook['id']}")).json()["data"]
