"""From submit to a started container and to the award, beside a bare `docker run` of the same image.

Both starts are read from the engine's own event stream, so both clocks are one.
"""

import subprocess
import threading
import time
from datetime import datetime
from statistics import median
from typing import Any

import docker

from .market import Market, wait_until_settled
from .report import Figure, beside

IMAGE = "neurogrid/true:1"
_PAUSE_S = 0.3
_WAIT_S = 60.0


class Starts:
    """Container starts as the engine reports them."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._stream: Any = client.events(filters={"event": "start"}, decode=True)
        self._seen: list[float] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def after(self, moment_s: float) -> float:
        """Unix time of the first start after ``moment_s``; waits for it."""
        with self._changed:
            found = self._changed.wait_for(lambda: self._first(moment_s), timeout=_WAIT_S)
            if not found:
                raise TimeoutError("no container was started")
            return found

    def close(self) -> None:
        """End the stream."""
        self._stream.close()

    def _first(self, moment_s: float) -> float | None:
        return next((at_s for at_s in self._seen if at_s > moment_s), None)

    def _read(self) -> None:
        for event in self._stream:
            with self._changed:
                self._seen.append(event["timeNano"] / 1e9)
                self._changed.notify_all()


def measure(market: Market, rounds: int) -> list[Figure]:
    """Bare and ours in turn."""
    client = docker.from_env()
    starts = Starts(client)
    bare_ms, ours_ms, award_ms = [], [], []
    try:
        for _ in range(rounds + 1):
            before_s = time.time()
            subprocess.run(
                ["docker", "run", "--rm", IMAGE, "/bin/true"], check=True, capture_output=True
            )
            bare_ms.append((starts.after(before_s) - before_s) * 1000)
            time.sleep(_PAUSE_S)
            before_s = time.time()
            task_id = market.submit(IMAGE, ["/bin/true"])
            ours_ms.append((starts.after(before_s) - before_s) * 1000)
            award_ms.append(_award_ms(market, task_id))
            wait_until_settled(market, task_id)
            time.sleep(_PAUSE_S)
    finally:
        starts.close()
        client.close()
    # The first round warms caches on both sides.
    bare, ours, award = (median(values[1:]) for values in (bare_ms, ours_ms, award_ms))
    floor = "docker run to started"
    return [
        beside("submit_to_started_ms", ours, "ms", floor, bare, rounds),
        Figure(
            "start_overhead_ms", round(ours - bare, 1), "ms", floor, round(bare, 1), None, rounds
        ),
        beside("submit_to_award_ms", award, "ms", floor, bare, rounds),
    ]


def _award_ms(market: Market, task_id: str) -> float:
    """From stored to awarded, by the coordinator's own timeline."""
    times: dict[str, float] = {}
    for entry in market.task(task_id)["timeline"]:
        times.setdefault(entry["event"], datetime.fromisoformat(entry["at"]).timestamp())
    return (times["task.awarded"] - times["task.created"]) * 1000
