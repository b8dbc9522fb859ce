"""Three coordinators on one PostgreSQL database, one of them killed every ten seconds: each job is done and paid once.

Clients submit to all three, and read from all three; webhooks are told at least once, each time by the same id.
"""

import json
import os
import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from acceptance.coordinators import HOOK, Api, several
from acceptance.network import JOB_IMAGE, PATIENCE_S, until
from coordinator.postgresql_server import PostgresqlServer, postgresql_server

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]

# COORDINATOR_TASKS=500 is the whole story, and takes minutes.
_TASKS = int(os.environ.get("COORDINATOR_TASKS", "10"))
_KILL_EVERY_S = 10.0
_TASK = {
    "name": "one of many",
    "type": "cpu",
    "docker_image": JOB_IMAGE,
    # Long enough to cost something.
    "command": ["sleep", "0.3"],
    "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
    "max_price_per_hour": "1.00",
    "timeout_seconds": 60,
    # No node is here for a moment after a coordinator died.
    "queue_timeout_seconds": 3600,
    "wait_for_node": True,
}


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as made:
        yield made


def test_one_of_three_is_killed_again_and_again_and_every_job_is_done_and_paid_once(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    with (
        several(tmp_path, server) as (devnet, coordinators, receiver),
        httpx.Client(timeout=20) as http,
    ):
        http.headers["Authorization"] = f"Bearer {devnet.network.api_key}"
        api = Api(coordinators.urls, http)
        before = devnet.ledger.money()
        # It has not read yet where webhooks may be.
        coordinators.kill(coordinators.urls[0])
        hook = {
            "url": f"http://{HOOK}:{receiver.port}/",
            "events": ["task.completed"],
            "retries": {"max_attempts": 8, "backoff_seconds": 1},
        }
        until(lambda: coordinators.leads() not in ("", coordinators.urls[0]), "another one leads")
        api.ask("POST", "/webhooks", json=hook, headers={"Idempotency-Key": "the hook"})
        ended = threading.Event()
        killed: list[str] = []
        chance = random.Random(7)

        def kill_on() -> None:
            while not ended.wait(_KILL_EVERY_S):
                # The one that leads every other time.
                url = coordinators.leads() if len(killed) % 2 == 0 else ""
                url = url or chance.choice(coordinators.urls)
                killed.append(url)
                coordinators.kill(url)

        began_s = time.monotonic()
        killing = threading.Thread(target=kill_on)
        killing.start()
        try:
            ids = []
            for number in range(_TASKS):
                key = {"Idempotency-Key": f"job-{number}"}
                first = api.ask("POST", "/tasks", json=_TASK, headers=key)["id"]
                if number % 10 == 0:
                    # Whoever did not hear the answer asks another one again.
                    assert api.ask("POST", "/tasks", json=_TASK, headers=key)["id"] == first
                ids.append(first)
            submitted_s = time.monotonic() - began_s

            until(
                lambda: killed and not coordinators.left(),
                "all is done and paid",
                PATIENCE_S + 5 * _TASKS,
            )
        finally:
            ended.set()
            killing.join()
        took_s = time.monotonic() - began_s
        assert len(set(ids)) == _TASKS
        assert {task["id"] for task in _all_tasks(api)} == set(ids), (
            "none is lost, none is there twice"
        )
        until(coordinators.leads, "one leads")
        paid = 0
        for task_id in ids:
            task = devnet.until_settled(task_id)
            assert task.status == "completed", (task_id, task.error)
            paid += sum(int((lease.paid or 0) * 1_000_000) for lease in task.leases)
            done = [lease for lease in task.leases if lease.paid]
            assert len(done) == 1, (task_id, task.leases)
        after = devnet.ledger.money()
        assert before.available - after.available == paid
        assert after.locked == 0
        assert after.total == before.total
        until(lambda: set(ids) <= receiver.completed(), "each completion was told")
        for told in receiver.told.values():
            assert len(set(told)) == 1, "the same words each time"
        subjects = [json.loads(told[0])["data"]["task_id"] for told in receiver.told.values()]
        assert len(subjects) == len(set(subjects)) == _TASKS, "one id for each completion"
        for url in coordinators.urls:
            shown = until(partial(api.of, url, "/tasks?limit=1"), f"{url} serves")
            assert shown["total"] == _TASKS
        again = sum(len(told) > 1 for told in receiver.told.values())
        print(
            f"\n{_TASKS} tasks in {took_s:.0f} s, submitted in {submitted_s:.0f} s; {len(killed)} killed; "
            f"{again} webhooks told more than once; answers {sorted(api.answered.values())}"
        )


def _all_tasks(api: Api) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    while True:
        page = api.ask("GET", f"/tasks?limit=100&offset={len(shown)}")
        shown += page["tasks"]
        if len(shown) >= page["total"] or not page["tasks"]:
            return shown
