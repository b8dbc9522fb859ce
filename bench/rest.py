"""Durable submits and reads over REST beside bare Starlette routes, 32 connections, in turn: rates, p99 and CPU.

The load is plain sockets in this process, the same for all sides, so what it costs cancels out of the
ratio. Where the api has processes that read (`http.readers`), a bare route that as many processes answer stands beside the usual one. Submitted tasks ask for a machine that does not exist: what is measured is the door, the checks
and the commit, not the auction. CPU is that of the processes that answer, whatever else they do meanwhile.
Beside the bare route stands one that only knows a key and keeps one row: the least that a durable answer costs.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from urllib.parse import urlsplit

import psutil

from .market import Market
from .report import Figure, beside

_CONNECTIONS = 32
_SECONDS = 4.0
_ROUNDS = 3
_BARE = """
import os, socket
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def hello(request):
    await request.body()
    return JSONResponse({"hello": "world"})

app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
# All processes accept from one socket.
listener = socket.create_server(("127.0.0.1", PORT), backlog=2048)
for _ in range(PROCESSES - 1):
    if not os.fork():
        break
uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run([listener])
"""
# One key, one row, one commit for all that wait: nothing is read, checked, held, told or shown.
_KEEPING = """
import asyncio, hashlib, json, secrets, sqlite3, sys, tempfile
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

file = tempfile.NamedTemporaryFile(suffix=".db")
rows = sqlite3.connect(file.name, isolation_level=None, check_same_thread=False)
rows.execute("pragma journal_mode=wal")
rows.execute("pragma synchronous=full")
rows.execute("create table tasks (id text primary key not null, body text not null) strict")
known = {hashlib.sha256(b"KEY").digest()}
waiting = []
work = asyncio.Event()

async def keep():
    while True:
        await work.wait()
        work.clear()
        some, waiting[:] = list(waiting), []
        rows.execute("begin immediate")
        rows.executemany("insert into tasks values (?, ?)", [row for row, _ in some])
        await asyncio.get_running_loop().run_in_executor(None, rows.execute, "commit")
        for _, kept in some:
            kept.set_result(None)

async def submit(request):
    if not keeping:
        keeping.append(asyncio.create_task(keep()))
    key = request.headers["authorization"].removeprefix("Bearer ")
    assert hashlib.sha256(key.encode()).digest() in known
    asked = json.loads(await request.body())
    id = secrets.token_hex(16)
    kept = asyncio.get_running_loop().create_future()
    waiting.append(((id, json.dumps(asked)), kept))
    work.set()
    await kept
    return JSONResponse({"id": id, **asked}, 201)

keeping = []
app = Starlette(routes=[Route("/", submit, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", access_log=False)
"""


def measure(market: Market) -> list[Figure]:
    """Ours and the bare routes in turn; medians of the rounds."""
    url = urlsplit(market.network["api_url"])
    key = market.network["api_key"]
    task_id = market.submit("neurogrid/true:1", ["/bin/true"])
    post = request("POST", "/api/v1/tasks", key, no_such_machine())
    get = request("GET", f"/api/v1/tasks/{task_id}", key, None)
    assert url.port is not None, "network.json names a port"
    runs: dict[str, list[_Run]] = {}
    api_pid = int(market.network["coordinator"]["api_pid"])
    processes = 1 + len(_readers(api_pid))
    with (
        bare_server(_BARE) as (bare_port, bare_pid),
        bare_server(_BARE, processes) as (many_port, many_pid),
        bare_server(_KEEPING) as (keeping_port, keeping_pid),
    ):
        bare_post = request("POST", "/", "", no_such_machine())
        bare_get = request("GET", "/", "", None)
        keeping_post = request("POST", "/", "KEY", no_such_machine())
        sides = [
            ("bare post", bare_port, bare_pid, bare_post),
            ("many post", many_port, many_pid, bare_post),
            ("keeping post", keeping_port, keeping_pid, keeping_post),
            ("post", url.port, api_pid, post),
            ("bare get", bare_port, bare_pid, bare_get),
            ("many get", many_port, many_pid, bare_get),
            ("get", url.port, api_pid, get),
        ]
        if processes == 1:
            sides = [side for side in sides if not side[0].startswith("many")]
        for _ in range(_ROUNDS):
            for name, port, pid, sent in sides:
                runs.setdefault(name, []).append(asyncio.run(_load(port, sent, pid)))
    medians = {name: median(run.per_s for run in some) for name, some in runs.items()}
    p99_ms = {name: median(run.p99_ms for run in some) for name, some in runs.items()}
    cpu_us = {name: median(run.cpu_us for run in some) for name, some in runs.items()}
    floor = "bare Starlette route"
    figures = []
    for what, ours, bare in (("submit", "post", "bare post"), ("read", "get", "bare get")):
        rate = beside(f"rest_{what}s_per_s", medians[ours], "1/s", floor, medians[bare], _ROUNDS)
        assert rate.ratio is not None, "a bare route answers"
        ratio = round(rate.ratio, 4)
        figures += [
            rate,
            Figure(f"rest_{what}_ratio", ratio, "of the floor", floor, 1.0, ratio, _ROUNDS),
            beside(f"rest_{what}_p99_ms", p99_ms[ours], "ms", floor, p99_ms[bare], _ROUNDS),
            beside(f"rest_{what}_cpu_us", cpu_us[ours], "us", floor, cpu_us[bare], _ROUNDS),
        ]
        if processes > 1:
            name, many = f"rest_{what}s_per_s_beside_{processes}", bare.replace("bare", "many")
            label = f"{floor}, {processes} processes"
            figures.append(beside(name, medians[ours], "1/s", label, medians[many], _ROUNDS))
    for name, by_side, unit in (
        ("per_s", medians, "1/s"),
        ("p99_ms", p99_ms, "ms"),
        ("cpu_us", cpu_us, "us"),
    ):
        ours_value, kept_value = by_side["post"], by_side["keeping post"]
        figure = f"rest_submit_{name}_beside_keeping"
        figures.append(beside(figure, ours_value, unit, "a key and a row", kept_value, _ROUNDS))
    return figures


def no_such_machine() -> bytes:
    """A task that is stored and then waits."""
    return json.dumps(
        {
            "name": "bench",
            "type": "gpu",
            "docker_image": "neurogrid/true:1",
            "command": ["/bin/true"],
            "resource_requirements": {"cpu_cores": 1, "gpu_model": "of the year 2040"},
            "max_price_per_hour": "0.01",
            "timeout_seconds": 1,
            "queue_timeout_seconds": 60,
            "wait_for_node": True,
        }
    ).encode()


def request(method: str, path: str, key: str, body: bytes | None) -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


@dataclass(frozen=True, slots=True)
class _Run:
    """Answered requests per second, what 99 in 100 took at most, and the CPU of each."""

    per_s: float
    p99_ms: float
    cpu_us: float


def _readers(pid: int) -> list[psutil.Process]:
    """Processes that read for the api with this process id, or answer beside a bare route's."""
    children = psutil.Process(pid).children()
    return [each for each in children if "neurogrid_coordinator.market" not in each.cmdline()]


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (each.cpu_times() for each in processes))


async def _load(port: int, sent: bytes, pid: int) -> _Run:
    """Ask as fast as it answers; an answer that is no success ends the measurement.

    Args:
        pid: of the process that answers, with those beside it.
    """
    took_s: list[float] = []
    servers = [psutil.Process(pid), *_readers(pid)]
    before_s = _cpu_s(servers)
    end_s = time.perf_counter() + _SECONDS
    started_s = time.perf_counter()

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began_s := time.perf_counter()) < end_s:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status >= 300:
                raise RuntimeError(f"answered {status}: {head.decode(errors='replace')}")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            took_s.append(time.perf_counter() - began_s)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    per_s = len(took_s) / (time.perf_counter() - started_s)
    cpu_s = _cpu_s(servers) - before_s
    return _Run(per_s, sorted(took_s)[len(took_s) * 99 // 100] * 1000, cpu_s / len(took_s) * 1e6)


@contextlib.contextmanager
def bare_server(program: str, processes: int = 1) -> Iterator[tuple[int, int]]:
    """A server of a few lines, in which PORT stands for its port, and PROCESSES for how many: that port, and its (first) process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    told = program.replace("PORT", str(port)).replace("PROCESSES", str(processes))
    process = subprocess.Popen([sys.executable, "-c", told], start_new_session=True)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)
