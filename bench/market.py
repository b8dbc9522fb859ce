"""A devnet of its own for the measurements, used as a client uses it: network.json and HTTP."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_UP_LIMIT_S = 120
_SETTLED_LIMIT_S = 180
_LOOK_INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class Market:
    """A running devnet.

    Attributes:
        file: network.json, rewritten when a process is started again.
        network: what it held when the market was up.
        api: a client with the devnet's key.
    """

    file: Path
    network: dict[str, Any]
    api: httpx.Client

    def submit(self, image: str, command: list[str], *, cpu_cores: float = 0.5) -> str:
        """Submit a small container task; its id."""
        answer = self.api.post(
            "/api/v1/tasks",
            json={
                "name": "bench",
                "type": "cpu",
                "docker_image": image,
                "command": command,
                "resource_requirements": {
                    "cpu_cores": cpu_cores,
                    "ram_gb": 0.1,
                    "storage_gb": 0.05,
                },
                "max_price_per_hour": "10.00",
                "timeout_seconds": 60,
            },
        )
        answer.raise_for_status()
        return str(answer.json()["data"]["id"])

    def read(self) -> dict[str, Any]:
        """What the file holds now."""
        network: dict[str, Any] = json.loads(self.file.read_text())
        return network

    def node_pid(self) -> int:
        """The first node's process, as it is now."""
        return int(self.read()["nodes"][0]["pid"])

    def task(self, task_id: str) -> dict[str, Any]:
        """The task as the API shows it."""
        answer = self.api.get(f"/api/v1/tasks/{task_id}")
        answer.raise_for_status()
        shown: dict[str, Any] = answer.json()["data"]
        return shown


def wait_until_settled(
    market: Market, task_id: str, *, look_interval_s: float = _LOOK_INTERVAL_S
) -> dict[str, Any]:
    """Wait until a task has ended and its money has moved; as the API shows it then.

    Raises:
        TimeoutError: it has not after three minutes.
    """
    deadline_s = time.monotonic() + _SETTLED_LIMIT_S
    while time.monotonic() < deadline_s:
        task = market.task(task_id)
        if task["settled"]:
            return task
        time.sleep(look_interval_s)
    raise TimeoutError(f"{task_id} was not settled")


@contextmanager
def running_market(directory: Path, nodes: int, *, readers: int = 0) -> Iterator[Market]:
    """A devnet for the length of the block.

    Args:
        readers: processes of the coordinator that read submissions.
    """
    command = [sys.executable, "-m", "neurogrid", "devnet"]
    data = ["--data", str(directory)]
    subprocess.run(
        [
            *(*command, "up", *data, "--nodes", str(nodes), "--port", "0"),
            *("--readers", str(readers), "--detach"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=_UP_LIMIT_S,
    )
    try:
        network = json.loads((directory / "network.json").read_text())
        headers = {"Authorization": f"Bearer {network['api_key']}"}
        with httpx.Client(
            base_url=network["api_url"], headers=headers, timeout=30, trust_env=False
        ) as api:
            yield Market(directory / "network.json", network, api)
    finally:
        subprocess.run(
            [*command, "down", *data], check=True, stdout=subprocess.DEVNULL, timeout=_UP_LIMIT_S
        )
