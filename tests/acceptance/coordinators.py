"""Several coordinators of one devnet on one PostgreSQL database, in processes that are stopped and started again."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psycopg

from acceptance.network import PATIENCE_S, Devnet, running_devnet, until
from coordinator.postgresql_server import PostgresqlServer
from neurogrid_devnet.layout import Layout, Settings
from neurogrid_devnet.terms import Terms

_OTHERS = 2
HOOK = "hooks.test"


class Receiver:
    """Of webhooks. It answers every fifth of them with an error, so that they come again.

    Attributes:
        told: delivery's id -> bodies, as they came.
    """

    def __init__(self) -> None:
        self.told: dict[str, list[bytes]] = defaultdict(list)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                told = receiver.told[self.headers["X-Delivery-Id"]]
                told.append(body)
                fails = len(told) == 1 and len(receiver.told) % 5 == 0
                self.send_response(500 if fails else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def completed(self) -> set[str]:
        """The tasks of whose completion it was told."""
        bodies = [json.loads(all_told[0]) for all_told in list(self.told.values())]
        return {body["data"]["task_id"] for body in bodies if body["type"] == "task.completed"}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Coordinators:
    """The devnet's, and two with its keys and files beside it, which somebody starts again.

    Attributes:
        urls: where each answers.
    """

    def __init__(self, devnet: Devnet, database: str, receiver: Receiver, *, own_p2p: bool) -> None:
        self._database = database
        self._folders = [devnet.data / "coordinator"]
        self._ended = threading.Event()
        config = (self._folders[0] / "coordinator.toml").read_text()
        hook = f'private = ["{HOOK}:{receiver.port}=127.0.0.1"]'
        before, section, after = config.partition("[webhooks]")
        config = before + section + re.sub(r"(?m)^private = .*$", hook, after, count=1)
        # nginx, and the other coordinators.
        config = config.replace("trusted_proxies = []", 'trusted_proxies = ["127.0.0.1"]')
        (self._folders[0] / "coordinator.toml").write_text(config)
        self.urls = [devnet.network.api_url]
        for number in range(_OTHERS):
            folder = devnet.data / f"coordinator-{number + 2}"
            folder.mkdir(mode=0o700)
            for name in ("identity.json", "operator.json", "session.json"):
                shutil.copy2(self._folders[0] / name, folder / name)
            (folder / "artifacts").symlink_to(self._folders[0] / "artifacts")
            place = f"127.0.0.1:{_free_port()}"
            listening = re.sub(
                r'(?m)^listen = "127.0.0.1:\d+"', f'listen = "{place}"', config, count=1
            )
            if own_p2p:
                listening = re.sub(
                    r'(?m)^listen = \["/ip4/127.0.0.1/tcp/\d+"\]',
                    f'listen = ["/ip4/127.0.0.1/tcp/{_free_port()}"]',
                    listening,
                    count=1,
                )
            (folder / "coordinator.toml").write_text(listening)
            self.urls.append(f"http://{place}")
            self._folders.append(folder)
        self._threads = [
            threading.Thread(target=self._keep, args=(folder,)) for folder in self._folders[1:]
        ]
        for thread in self._threads:
            thread.start()

    def pid(self, url: str) -> int:
        """The process that answers there; 0 while none does."""
        with suppress(OSError, ValueError, KeyError):
            folder = self._folders[self.urls.index(url)]
            pid = int(json.loads((folder / "coordinator.json").read_text())["api_pid"])
            if "neurogrid_coordinator" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        return 0

    def pids(self, url: str) -> list[int]:
        """Of the one that answers there and has the market, and of the market."""
        folder = self._folders[self.urls.index(url)]
        said = json.loads((folder / "coordinator.json").read_text())
        return [int(said["api_pid"]), int(said["market_pid"])]

    def p2p_port(self, url: str) -> int:
        """Where nodes find the one that answers there, if it leads."""
        config = (self._folders[self.urls.index(url)] / "coordinator.toml").read_text()
        (port,) = re.findall(r'(?m)^listen = \["/ip4/127.0.0.1/tcp/(\d+)"\]', config)
        return int(port)

    def term(self) -> int:
        """How many times one has begun to lead."""
        with psycopg.connect(self._database, autocommit=True) as raw:
            row = raw.execute("select term from lead").fetchone()
        assert row is not None
        return int(row[0])

    def leads(self) -> str:
        """Where the one answers that leads; "" while none does."""
        with psycopg.connect(self._database, autocommit=True) as raw:
            row = raw.execute("select url from lead").fetchone()
        assert row is not None
        url = str(row[0])
        return url if url and self.pid(url) else ""

    def left(self) -> int:
        """How many tasks have not ended, and leases whose money is under way."""
        with psycopg.connect(self._database, autocommit=True) as raw:
            row = raw.execute(
                "select (select count(*) from tasks where ended_at_ms is null)"
                " + (select count(*) from leases where settlement_phase <> 'closed')"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def kill(self, url: str) -> None:
        """kill -9, if it runs."""
        pid = self.pid(url)
        if pid:
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _keep(self, folder: Path) -> None:
        command = [sys.executable, "-m", "neurogrid_coordinator", "start", "--data", str(folder)]
        while not self._ended.is_set():
            with (folder / "log").open("ab") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            while process.poll() is None and not self._ended.is_set():
                time.sleep(0.1)
            process.terminate()
            process.wait(PATIENCE_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def several(
    tmp_path: Path, server: PostgresqlServer, *, own_p2p: bool = False
) -> Iterator[tuple[Devnet, Coordinators, Receiver]]:
    """A devnet whose coordinator is one of three.

    Args:
        own_p2p: each has a port of its own for nodes, as on machines of their own.
    """
    data = tmp_path / "devnet"
    url = server.new().url
    layout = Layout(data)
    data.mkdir()
    layout.write_settings(replace(Settings.make(2, 0, Terms()), database_url=url))
    with ExitStack() as stack:
        devnet = stack.enter_context(running_devnet(data, 2))
        receiver = Receiver()
        stack.callback(receiver.stop)
        coordinators = Coordinators(devnet, url, receiver, own_p2p=own_p2p)
        stack.callback(coordinators.stop)
        until(lambda: all(map(coordinators.pid, coordinators.urls)), "all three are there")
        yield devnet, coordinators, receiver


class Api:
    """What a client asks of any of several coordinators, until one answers."""

    def __init__(self, urls: Sequence[str], http: httpx.Client) -> None:
        self._urls = urls
        self._asked = 0
        self.answered: dict[str, int] = defaultdict(int)
        self._http = http

    def of(self, url: str, path: str) -> Any:
        """What this one answers; None where it does not."""
        with suppress(httpx.HTTPError):
            answer = self._http.get(f"{url}/api/v1{path}")
            return answer.json()["data"] if answer.is_success else None

    def ask(self, method: str, path: str, **given: Any) -> Any:
        """The answer's data; the next coordinator is asked where one is gone, or says that nobody leads."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._asked += 1
            url = self._urls[self._asked % len(self._urls)]
            with suppress(httpx.HTTPError):
                answer = self._http.request(method, f"{url}/api/v1{path}", **given)
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                if answer.status_code != 503:
                    assert answer.is_success, answer.text
                    self.answered[url] += 1
                    return answer.json()["data"]
            assert time.monotonic() < deadline, f"nobody answers {method} {path}"
            time.sleep(0.1)
