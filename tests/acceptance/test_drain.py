"""A coordinator that is told to stop (SIGTERM) while clients have everything open that there is to be had open."""

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from acceptance.network import PATIENCE_S, Devnet, until
from neurogrid import CommandLost, NeuroGridError

pytestmark = [pytest.mark.processes, pytest.mark.engine]

# What it promises is 3 s; the rest is for a machine that does ten other things. What is open here would stay so for minutes.
_DRAINED_S = 30.0
JOB = "i=0; until [ -e /tmp/go ]; do echo $i; i=$((i+1)); sleep 0.2; done"


class Open:
    """Something that a client reads in a thread, from its first word until it ends.

    Attributes:
        began, ended: set then.
    """

    def __init__(self, read: Callable[["Open"], None]) -> None:
        self.began, self.ended = threading.Event(), threading.Event()
        self.said = ""

        def run() -> None:
            try:
                read(self)
            except (httpx.HTTPError, ConnectionClosed, CommandLost, OSError) as error:
                self.said = f"{type(error).__name__}: {error}"
            finally:
                self.ended.set()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()


def test_a_coordinator_that_is_told_to_stop_ends_all_that_is_open_within_seconds(
    devnet: Devnet,
) -> None:
    task = devnet.submit("sh", "-c", JOB, interactive=True, timeout_seconds=600)
    task = devnet.until_phase(task.id, "running")
    url, key = devnet.network.api_url, devnet.network.api_key
    headers = {"Authorization": f"Bearer {key}"}

    def streamed(path: str) -> Callable[[Open], None]:
        def read(this: Open) -> None:
            with (
                httpx.Client(timeout=PATIENCE_S, headers=headers) as http,
                http.stream("GET", f"{url}/api/v1{path}") as answer,
            ):
                assert answer.status_code == 200, answer.read()
                for _ in answer.iter_raw():
                    this.began.set()

        return read

    def socket_of_events(this: Open) -> None:
        with connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None) as events:
            events.send(json.dumps({"type": "auth", "token": key}))
            for _ in events:
                this.began.set()

    def command(this: Open) -> None:
        with devnet.client.tasks.open_exec(task.id, ["sh", "-c", "echo on; sleep 640"]) as running:
            assert running.read()
            this.began.set()
            running.read()

    def upload(this: Open) -> None:
        data = b"x" * 1000
        head = (
            f"PUT /api/v1/artifacts/{hashlib.sha256(data).hexdigest()} HTTP/1.1\r\nHost: api\r\n"
            f"Authorization: Bearer {key}\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        place = urlsplit(url)
        assert place.hostname is not None
        with socket.create_connection((place.hostname, place.port or 80)) as raw:
            raw.sendall(head.encode() + data[:10])
            this.began.set()
            while raw.recv(4096):
                pass

    every = {
        "/ws": Open(socket_of_events),
        "events": Open(streamed(f"/tasks/{task.id}/events")),
        "log": Open(streamed(f"/tasks/{task.id}/logs?follow=true")),
        "command": Open(command),
        "upload": Open(upload),
    }
    for name, each in every.items():
        assert each.began.wait(PATIENCE_S), (name, each.said)
    assert not [name for name, each in every.items() if each.ended.is_set()]

    before = devnet.pid("api")
    os.kill(before, signal.SIGTERM)
    told_s = time.monotonic()
    until(lambda: not _runs(before), "it has ended")
    took_s = time.monotonic() - told_s
    print(f"\nended {took_s:.1f} s after SIGTERM, with {', '.join(every)} open")
    assert took_s < _DRAINED_S
    for name, each in every.items():
        assert each.ended.wait(PATIENCE_S), f"{name} was left open"
    devnet.until_restarted("api", before)
    # None of that was the job's business.
    until(lambda: _said(devnet, task.id), "commands run again")
    task = devnet.until_settled(task.id)
    assert task.status == "completed"
    assert len([lease for lease in task.leases if lease.paid]) == 1


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _said(devnet: Devnet, task_id: str) -> bool:
    try:
        return devnet.client.tasks.exec(task_id, ["sh", "-c", "echo > /tmp/go"]).exit_code == 0
    except NeuroGridError:
        # Something is not back yet.
        return False
