"""A devnet of its own for the measurements, used as a client uses it: network.json and HTTP."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

_UP_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class Market:
    """A running devnet.

    Attributes:
        network: what network.json holds.
        api: a client with the devnet's key.
    """

    network: dict[str, Any]
    api: httpx.Client

    def submit(self, image: str, command: list[str]) -> str:
        """Submit a small container task; its id."""
        answer = self.api.post(
            "/api/v1/tasks",
            json={
                "name": "bench",
                "type": "cpu",
                "docker_image": image,
                "command": command,
                "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.1, "storage_gb": 0.05},
                "max_price_per_hour": "10.00",
                "timeout_seconds": 60,
            },
        )
        answer.raise_for_status()
        return str(answer.json()["data"]["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        """The task as the API shows it."""
        answer = self.api.get(f"/api/v1/tasks/{task_id}")
        answer.raise_for_status()
        shown: dict[str, Any] = answer.json()["data"]
        return shown


@contextmanager
def running_market(directory: Path, nodes: int) -> Iterator[Market]:
    """A devnet for the length of the block."""
    command = [sys.executable, "-m", "neurogrid", "devnet"]
    data = ["--data", str(directory)]
    subprocess.run(
        [*command, "up", *data, "--nodes", str(nodes), "--port", "0", "--detach"],
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
            yield Market(network, api)
    finally:
        subprocess.run(
            [*command, "down", *data], check=True, stdout=subprocess.DEVNULL, timeout=_UP_LIMIT_S
        )
