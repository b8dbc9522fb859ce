"""Three coordinators behind one nginx, as docs/postgresql.md says: what goes on when one dies, and who can hold them up."""

import hashlib
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from acceptance.coordinators import several
from acceptance.network import PATIENCE_S, until
from coordinator.postgresql_server import PostgresqlServer, postgresql_server
from neurogrid import Client, NeuroGridError

pytestmark = [pytest.mark.processes, pytest.mark.engine, pytest.mark.nightly]

_ROOT = Path(__file__).parents[2]
_AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    include {folder}/site.conf;
}}
"""
_IDLE = 1500
_SLOW = 150
_JOB = "i=0; until [ -e /tmp/go ]; do echo $i; i=$((i+1)); sleep 0.2; done"


@pytest.fixture
def server() -> Iterator[PostgresqlServer]:
    with postgresql_server() as made:
        yield made


def site(port: int, urls: Sequence[str]) -> str:
    """configs/nginx.conf with what the page changes in it; without TLS, which test_behind_nginx tries."""
    text = (_ROOT / "configs" / "nginx.conf").read_text()
    page = (_ROOT / "docs" / "postgresql.md").read_text()
    (upstream,) = re.findall(r"```\n(upstream neurogrid \{.*?\n\})\n```", page, re.DOTALL)
    for number, url in enumerate(urls, 1):
        theirs = f"10.0.0.{number}:8080"
        assert upstream.count(theirs) == 1
        upstream = upstream.replace(theirs, urlsplit(url).netloc)
    (instead,) = re.findall(r"in place of `proxy_next_upstream off`, `([^`]+)`", page)
    text = re.sub(r"upstream neurogrid \{.*?\n\}", upstream, text, flags=re.DOTALL)
    text = text.replace("proxy_next_upstream off;", instead)
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    return re.sub(r"(?m)^ *(listen \[::\]|ssl_certificate).*\n", "", text)


@contextmanager
def nginx(folder: Path, urls: Sequence[str]) -> Iterator[str]:
    """Where it listens."""
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "site.conf").write_text(site(port, urls))
    (folder / "nginx.conf").write_text(_AROUND.format(folder=folder))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


class Asking:
    """A client that goes on asking; counts answers by their status, or by how there was none."""

    def __init__(self, ask: Callable[[], httpx.Response]) -> None:
        self.seen: Counter[str] = Counter()
        self.slowest_s = 0.0
        self._ended = threading.Event()

        def run() -> None:
            while not self._ended.wait(0.02):
                began_s = time.monotonic()
                try:
                    self.seen[str(ask().status_code)] += 1
                except httpx.HTTPError as error:
                    self.seen[type(error).__name__] += 1
                self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_S)


def test_requests_go_on_when_any_of_three_dies_and_nobody_holds_them_up(
    tmp_path: Path, server: PostgresqlServer
) -> None:
    with (
        several(tmp_path, server) as (devnet, coordinators, _),
        nginx(tmp_path / "nginx", coordinators.urls) as url,
        httpx.Client(base_url=url, timeout=30) as http,
        Client(api_key=devnet.network.api_key, base_url=url) as client,
    ):
        http.headers["Authorization"] = f"Bearer {devnet.network.api_key}"

        def lives() -> bool:
            return all(map(coordinators.pid, coordinators.urls)) and bool(coordinators.leads())

        # It has not read yet whom to trust.
        coordinators.kill(coordinators.urls[0])
        until(lambda: coordinators.leads() not in ("", coordinators.urls[0]), "another one leads")
        until(lives, "all three are there")
        devnet.until_idle()
        task = devnet.submit("sh", "-c", _JOB, interactive=True, timeout_seconds=600)
        devnet.until_phase(task.id, "running")

        def runs(*command: str) -> bool:
            try:
                return client.tasks.exec(task.id, command).exit_code == 0
            except NeuroGridError:
                return False

        def hears() -> bool:
            try:
                with connect(f"{url.replace('http', 'ws', 1)}/ws", proxy=None) as events:
                    return "connected" in str(events.recv(timeout=5))
            except (ConnectionClosed, OSError, TimeoutError):
                return False

        def follows() -> bool:
            path = f"/api/v1/tasks/{task.id}/logs?follow=true"
            with http.stream("GET", path) as answer:
                return next(answer.iter_raw(), b"") != b""

        data = b"x" * 3_000_000

        def uploads() -> bool:
            path = f"/api/v1/artifacts/{hashlib.sha256(data).hexdigest()}"
            return http.put(path, content=data).is_success

        def all_works(what: str) -> None:
            until(lambda: runs("true"), f"commands run {what}")
            until(hears, f"/ws works {what}")
            assert follows(), what
            assert uploads(), what

        all_works("with three")
        follower = next(each for each in coordinators.urls if each != coordinators.leads())
        with Asking(lambda: http.get("/api/v1/tasks?limit=1")) as asking:
            coordinators.kill(follower)
            time.sleep(3)
        print(f"\none that follows killed: {dict(asking.seen)}, slowest {asking.slowest_s:.2f} s")
        assert set(asking.seen) == {"200"}
        all_works("with two")
        until(lives, "all three are there again")

        leader = coordinators.leads()
        with Asking(lambda: http.get("/api/v1/tasks?limit=1")) as asking:
            coordinators.kill(leader)
            until(lambda: coordinators.leads() not in ("", leader), "another one leads")
        print(f"the one that leads killed: {dict(asking.seen)}, slowest {asking.slowest_s:.2f} s")
        assert set(asking.seen) == {"200"}
        all_works("with another leader")
        until(lives, "all three are there again")

        with ExitStack() as stack:
            _hold_up(stack, url, devnet.network.api_key)
            with Asking(lambda: http.get("/api/v1/tasks?limit=1")) as asking:
                time.sleep(5)
                until(lambda: runs("true"), "commands run beside slow bodies and idle sockets")
                assert hears()
                assert follows()
        print(f"{_IDLE} idle, {_SLOW} slow: {dict(asking.seen)}, slowest {asking.slowest_s:.2f} s")
        assert set(asking.seen) == {"200"}
        assert asking.slowest_s < 5
        until(lambda: runs("sh", "-c", "echo > /tmp/go"), "it is told to end")
        assert devnet.until_settled(task.id).status == "completed"


def _hold_up(stack: ExitStack, url: str, key: str) -> None:
    """Sockets that say nothing, and uploads of which a byte comes."""
    place = (urlsplit(url).hostname or "", urlsplit(url).port or 80)
    head = (
        f"PUT /api/v1/artifacts/{'0' * 64} HTTP/1.1\r\nHost: api\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: 1000000\r\n\r\nx"
    ).encode()
    for number in range(_IDLE + _SLOW):
        raw = stack.enter_context(socket.create_connection(place))
        if number < _SLOW:
            raw.sendall(head)
