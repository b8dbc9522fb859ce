"""The coordinator that leads is stopped, as on a machine that sleeps, and goes on when another one has its place."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from acceptance.coordinators import Api, Coordinators, several
from acceptance.network import JOB_IMAGE, PATIENCE_S, until
from coordinator.postgresql_server import PostgresqlServer, postgresql_server
from neurogrid_node.config_text import with_values

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]

# Who is silent for ten seconds leads no more; what is passed on waits as long for another one.
_LOST_S = 10.0
_TASK = {
    "type": "cpu",
    "docker_image": JOB_IMAGE,
    "command": ["sleep", "1"],
    "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
    "max_price_per_hour": "1.00",
    "timeout_seconds": 120,
    "queue_timeout_seconds": 600,
    "wait_for_node": True,
}


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as made:
        yield made


@contextmanager
def moving_address(coordinators: Coordinators) -> Iterator[int]:
    """The port of one address that leads to whoever leads, as nodes need it."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def carry(came: socket.socket, there: socket.socket) -> None:
        with came, there:
            back = threading.Thread(target=pump, args=(there, came))
            back.start()
            pump(came, there)
            back.join()

    def accept() -> None:
        while not ended.is_set():
            with suppress(OSError):
                came, _ = listener.accept()
                url = coordinators.leads()
                if not url:
                    came.close()
                    continue
                there = socket.create_connection(("127.0.0.1", coordinators.p2p_port(url)))
                threading.Thread(target=carry, args=(came, there), daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE_S)


def is_done(api: Api, task_id: str) -> bool:
    return bool(api.ask("GET", f"/tasks/{task_id}")["status"] == "completed")


def test_a_leader_that_is_stopped_loses_its_place_and_does_nothing_twice_when_it_goes_on(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    with (
        several(tmp_path, server, own_p2p=True) as (devnet, coordinators, _),
        moving_address(coordinators) as port,
        httpx.Client(timeout=90) as http,
    ):
        http.headers["Authorization"] = f"Bearer {devnet.network.api_key}"
        leader = until(coordinators.leads, "one leads")
        first = coordinators.p2p_port(leader)
        for node in devnet.network.nodes:
            settings = Path(node.data) / "node.toml"
            text = settings.read_text()
            settings.write_text(text.replace(f"/tcp/{first}/", f"/tcp/{port}/"))
            assert with_values(text, {}) != settings.read_text(), "it dialled the first one"
            devnet.until_restarted(node.name, devnet.kill(node.name))
        devnet.until_idle()
        before = devnet.ledger.money()
        others = [url for url in coordinators.urls if url != leader]
        api = Api(others, http)
        ids = [api.ask("POST", "/tasks", json={**_TASK, "command": ["sleep", "20"]})["id"]]
        until(lambda: api.ask("GET", f"/tasks/{ids[0]}")["status"] == "running", "it runs")

        stopped = coordinators.pids(leader)
        term = coordinators.term()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            stopped_s = time.monotonic()
            ids += [api.ask("POST", "/tasks", json=_TASK)["id"] for _ in range(3)]
            assert time.monotonic() - stopped_s < _LOST_S, "the others need nobody for that"
            health = http.get(f"{others[0]}/health")
            assert (health.status_code, health.json()["status"]) == (200, "degraded")
            asked = http.get(f"{others[0]}/api/v1/nodes")
            nodes_s = time.monotonic() - stopped_s
            assert nodes_s < 3 * _LOST_S
            assert asked.status_code == 200 or (
                asked.status_code == 503 and asked.headers["retry-after"] == "1"
            )
            until(lambda: coordinators.leads() in others, "another one leads")
            leads_s = time.monotonic() - stopped_s
            assert coordinators.term() == term + 1
            for task_id in ids:
                until(partial(is_done, api, task_id), f"{task_id} is done")
            done_s = time.monotonic() - stopped_s
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        went_on_s = time.monotonic()
        until(lambda: coordinators.pid(leader) != stopped[0], "it has stepped down by itself")
        ended_s = time.monotonic() - went_on_s
        until(lambda: coordinators.pid(leader), "and stands by")
        until(lambda: not coordinators.left(), "all is paid")
        assert coordinators.term() == term + 1, "it has not led again"
        paid = 0
        for task_id in ids:
            task = devnet.until_settled(task_id)
            assert task.status == "completed", (task_id, task.error)
            done = [lease for lease in task.leases if lease.paid]
            assert len(done) == 1, (task_id, task.leases)
            paid += int((done[0].paid or 0) * 1_000_000)
        after = devnet.ledger.money()
        assert before.available - after.available == paid
        assert (after.locked, after.total) == (0, before.total)
        print(
            f"\nanother led after {leads_s:.1f} s, /nodes answered {asked.status_code} after {nodes_s:.1f} s, all was "
            f"done after {done_s:.1f} s; the old one ended {ended_s:.1f} s after it went on"
        )
