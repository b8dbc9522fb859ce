"""A devnet of real processes, used as a client uses it: the command, network.json, HTTP."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

_COMMAND = (sys.executable, "-m", "neurogrid", "devnet")
_UP_LIMIT_S = 120
_RETRY_S = 0.2
TERMINAL = {"completed", "failed", "cancelled", "expired"}


class Market:
    """A running devnet and a client of it."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def up(self, nodes: int) -> None:
        """`neurogrid devnet up --detach`."""
        run("up", "--data", str(self.data), "--nodes", str(nodes), "--port", "0", "--detach")

    def down(self) -> None:
        """`neurogrid devnet down`."""
        run("down", "--data", str(self.data))

    @property
    def network(self) -> dict[str, Any]:
        """network.json as it is now; pids change."""
        document: dict[str, Any] = json.loads((self.data / "network.json").read_text())
        return document

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """A request with the devnet's key; tried again while the api is being restarted."""
        network = self.network
        headers = {"Authorization": f"Bearer {network['api_key']}"} | options.pop("headers", {})

        def once() -> httpx.Response | None:
            try:
                return httpx.request(
                    method,
                    f"{self.network['api_url']}/api/v1{path}",
                    headers=headers,
                    timeout=20,
                    trust_env=False,
                    **options,
                )
            except httpx.TransportError:
                return None

        return until(once, "the api answers", 30)

    def submit(self, command: list[str], **changes: Any) -> str:
        """Submit a job on the job image; its id."""
        answer = self.call("POST", "/tasks", json=self.job(command, **changes))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    def job(self, command: list[str], **changes: Any) -> dict[str, Any]:
        """A small job as JSON."""
        return {
            "name": "acceptance",
            "type": "cpu",
            "docker_image": self.network["job_image"],
            "command": command,
            "resource_requirements": {"cpu_cores": 0.5, "ram_gb": 0.2, "storage_gb": 0.05},
            "max_price_per_hour": "1.00",
            "timeout_seconds": 60,
            **changes,
        }

    def task(self, task_id: str) -> dict[str, Any]:
        """The task as shown."""
        shown: dict[str, Any] = self.call("GET", f"/tasks/{task_id}").json()["data"]
        return shown

    def wait(
        self, task_id: str, until_true: Callable[[dict[str, Any]], bool], limit_s: float = 60
    ) -> dict[str, Any]:
        """Wait for a state of a task."""

        def look() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if until_true(task) else None

        return until(look, f"{task_id}", limit_s)

    def running(self, task_id: str) -> dict[str, Any]:
        """Wait until its container runs."""
        return self.wait(task_id, lambda task: task["phase"] == "running")

    def settled(self, task_id: str, limit_s: float = 90) -> dict[str, Any]:
        """Wait until it has ended and its money is settled."""
        return self.wait(
            task_id, lambda task: task["phase"] in TERMINAL and task["settled"], limit_s
        )

    def account(self) -> dict[str, Any]:
        """The client's balance."""
        shown: dict[str, Any] = self.call("GET", "/account").json()["data"]
        return shown

    def pid_of_node(self, node_id: str) -> int:
        """The process of a node."""
        return next(
            int(node["pid"]) for node in self.network["nodes"] if node["peer_id"] == node_id
        )

    def upload(self, data: bytes) -> str:
        """Upload an input; its hash."""
        sha256 = hashlib.sha256(data).hexdigest()
        answer = self.call("PUT", f"/artifacts/{sha256}", content=data)
        assert answer.status_code in (200, 201), answer.text
        return sha256


def run(*arguments: str) -> str:
    """`neurogrid devnet ...`; its output."""
    done = subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, timeout=_UP_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def until(look: Callable[[], T | None], what: str, limit_s: float) -> T:
    """Look again and again until there is something."""
    deadline_s = time.monotonic() + limit_s
    while True:
        found = look()
        if found is not None:
            return found
        assert time.monotonic() < deadline_s, f"after {limit_s} s still waiting: {what}"
        time.sleep(_RETRY_S)


def kill(pid: int) -> None:
    """kill -9."""
    os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs (one that is only waiting to be reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
