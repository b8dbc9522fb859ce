"""A devnet of real processes on the real engine, as the tests use and break it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from neurogrid import Client
from neurogrid.models import Task
from neurogrid_devnet.demo.money import Ledger, Money, open_ledger
from neurogrid_devnet.layout import Layout
from neurogrid_devnet.network_file import Network, read_network

JOB_IMAGE = "neurogrid/job:1"
MAX_PRICE = "1.00"
# Generous: the machine may be busy with much else.
PATIENCE_S = 90.0
_LOOK_INTERVAL_S = 0.05
# Models that nobody asks any more hold cores, and their clients' escrows, so long.
REPLICA_IDLE_S = 20


def neurogrid(*arguments: str, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
    """The command, as a person types it."""
    return subprocess.run(
        [sys.executable, "-m", "neurogrid", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """The condition's first true value."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not after {patience_s:g} s: {what}"
        time.sleep(_LOOK_INTERVAL_S)


class Devnet:
    """A running devnet and its ledger; its client, and who keeps models warm, each as the SDK, and as curl with the same key."""

    def __init__(
        self,
        data: Path,
        client: Client,
        models_client: Client,
        http: httpx.Client,
        models_http: httpx.Client,
        ledger: Ledger,
    ) -> None:
        self.data = data
        self.client = client
        self.models_client = models_client
        self.http = http
        self.models_http = models_http
        self.ledger = ledger

    @property
    def network(self) -> Network:
        """network.json as it is now."""
        network = read_network(self.data / "network.json")
        assert network is not None, "the file is replaced whole"
        return network

    def submit(self, *command: str, **arguments: Any) -> Task:
        """Submit a small job."""
        values: dict[str, Any] = {
            "docker_image": JOB_IMAGE,
            "max_price_per_hour": MAX_PRICE,
            "timeout_seconds": 60,
            "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
        }
        return self.client.tasks.create(command=command, **(values | arguments))

    def until_phase(self, task_id: str, phase: str) -> Task:
        """The task once it is in this phase."""

        def look() -> Task | None:
            task = self.client.tasks.get(task_id)
            assert not task.ended or task.phase == phase, f"it ended: {task.error}"
            return task if task.phase == phase else None

        task = until(look, f"{task_id} is {phase}")
        assert isinstance(task, Task)
        return task

    def until_settled(self, task_id: str) -> Task:
        """The task once it has ended and all of its money has moved."""
        self.client.tasks.wait(task_id, timeout_s=PATIENCE_S)

        def look() -> Task | None:
            task = self.client.tasks.get(task_id)
            settled = all(lease.settlement == "closed" for lease in task.leases)
            return task if task.settled and settled else None

        task = until(look, f"{task_id} is settled")
        assert isinstance(task, Task)
        return task

    def pid(self, process: str) -> int:
        """Of ``ledger``, ``api``, ``market`` or a node's name; 0 while it is not running."""
        network = self.network
        nodes = {node.name: node.pid for node in network.nodes}
        return {
            "ledger": network.ledger_pid,
            "api": network.coordinator.api_pid,
            "market": network.coordinator.market_pid,
            **nodes,
        }[process]

    def node_name(self, peer_id: str | None) -> str:
        """What the devnet calls a node."""
        return next(node.name for node in self.network.nodes if node.peer_id == peer_id)

    def kill(self, process: str) -> int:
        """kill -9; the number it had."""
        pid = self.pid(process)
        assert pid, f"{process} is running"
        os.kill(pid, signal.SIGKILL)
        return pid

    def until_restarted(self, process: str, before: int) -> None:
        """Wait until it runs again, under another number."""
        until(lambda: self.pid(process) not in (0, before), f"{process} runs again")

    def restart_coordinator(self) -> None:
        """Kill it, and wait until another one answers."""
        self.until_restarted("api", self.kill("api"))

        def answers() -> bool:
            try:
                return self.http.get("/status").status_code == 200
            except httpx.TransportError:
                return False

        until(answers, "the coordinator answers")

    def until_all_here(self) -> None:
        """Wait until every node is connected."""
        expected = len(self.network.nodes)

        def look() -> bool:
            nodes = self.client.nodes.list().nodes
            # One that is full, of replicas that are kept, is here as well.
            return sum(node.status != "offline" for node in nodes) == expected

        until(look, "every node is back")

    def until_idle(self) -> None:
        """Wait until every node is here and free: earlier jobs and lost bids have let go of it."""
        expected = len(self.network.nodes)

        def look() -> bool:
            nodes = self.client.nodes.list().nodes
            idle = [n for n in nodes if n.status == "online" and n.cpu_cores_free == n.cpu_cores]
            return len(idle) == expected

        until(look, "every node is back and free")

    def until_warm(self, model: str) -> dict[str, Any]:
        """Wait until a replica of a model of texts answers; where that answer of one token is from, and what it cost.

        Until nodes have room again, which other models' replicas fill or an ordinary job has taken, tasks answer.
        """
        url = f"{self.network.api_url}/v1/completions"
        asked = {"model": model, "prompt": "To be", "max_tokens": 1}

        def look() -> dict[str, Any] | None:
            answer = self.http.post(url, json=asked, timeout=PATIENCE_S)
            assert answer.status_code == 200, answer.text
            origin: dict[str, Any] = answer.json()["neurogrid"]
            task = self.http.get(f"/tasks/{origin['task_id']}").json()["data"]
            return origin if task["kind"] == "use" else None

        found: dict[str, Any] = until(look, f"a replica of {model} answers")
        return found

    def until_nothing_owed(self) -> Money:
        """The client's money once nothing of it is locked: no earlier job has anything to pay any more."""

        def look() -> Money | None:
            money = self.ledger.money()
            return money if money.locked == 0 else None

        money = until(look, "every earlier job is paid")
        assert isinstance(money, Money)
        return money


@contextmanager
def running_devnet(data: Path, nodes: int, *options: str) -> Iterator[Devnet]:
    """A devnet in ``data`` for the length of the block.

    Args:
        options: more of its ``up``.
    """
    directory = ("--data", str(data))
    try:
        count = ("--nodes", str(nodes), "--replica-idle-s", str(REPLICA_IDLE_S))
        started = neurogrid("devnet", "up", *count, "--detach", "--json", *directory, *options)
        assert started.returncode == 0, started.stderr
        network = read_network(data / "network.json")
        assert network is not None
        assert json.loads(started.stdout)["api_url"] == network.api_url
        models_key = Layout(data).models_api_key.read_text()
        with (
            Client(network=data / "network.json") as client,
            Client(base_url=network.api_url, api_key=models_key) as models_client,
            _curl(network.api_url, network.api_key) as http,
            _curl(network.api_url, models_key) as models_http,
            open_ledger(network) as ledger,
        ):
            yield Devnet(data, client, models_client, http, models_http, ledger)
    finally:
        stopped = neurogrid("devnet", "down", *directory)
        assert stopped.returncode == 0, stopped.stderr


def _curl(api_url: str, api_key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"{api_url}/api/v1", headers={"Authorization": f"Bearer {api_key}"}, timeout=30
    )
