"""Durable submits and reads over REST beside a bare Starlette route, 32 connections, in turn.

The load is plain sockets in this process, the same for both sides, so what it costs cancels out of the
ratio. Submitted tasks ask for a machine that does not exist: what is measured is the door, the checks
and the commit, not the auction.
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median
from urllib.parse import urlsplit

from .market import Market
from .report import Figure, beside

_CONNECTIONS = 32
_SECONDS = 4.0
_ROUNDS = 3
_BARE = """
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

async def hello(request):
    await request.body()
    return JSONResponse({"hello": "world"})

app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"])])
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", access_log=False)
"""


def measure(market: Market) -> list[Figure]:
    """Ours and the bare route in turn; medians of the rounds."""
    url = urlsplit(market.network["api_url"])
    key = market.network["api_key"]
    task_id = market.submit("neurogrid/true:1", ["/bin/true"])
    post = _request("POST", "/api/v1/tasks", key, _submission())
    get = _request("GET", f"/api/v1/tasks/{task_id}", key, None)
    rates: dict[str, list[float]] = {"post": [], "get": [], "bare post": [], "bare get": []}
    with _bare_server() as bare_port:
        bare_post = _request("POST", "/", "", _submission())
        bare_get = _request("GET", "/", "", None)
        for _ in range(_ROUNDS):
            for name, port, request in (
                ("bare post", bare_port, bare_post),
                ("post", url.port, post),
                ("bare get", bare_port, bare_get),
                ("get", url.port, get),
            ):
                assert port is not None, "network.json names a port"
                rates[name].append(asyncio.run(_load(port, request)))
    medians = {name: median(values) for name, values in rates.items()}
    floor = "bare Starlette route"
    figures = []
    for what, ours, bare in (("submit", "post", "bare post"), ("read", "get", "bare get")):
        rate = beside(f"rest_{what}s_per_s", medians[ours], "1/s", floor, medians[bare], _ROUNDS)
        assert rate.ratio is not None, "a bare route answers"
        ratio = round(rate.ratio, 4)
        figures += [
            rate,
            Figure(f"rest_{what}_ratio", ratio, "of the floor", floor, 1.0, ratio, _ROUNDS),
        ]
    return figures


def _submission() -> bytes:
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


def _request(method: str, path: str, key: str, body: bytes | None) -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + (body or b"")


async def _load(port: int, request: bytes) -> float:
    """Answered requests per second; an answer that is no success ends the measurement."""
    end_s = time.perf_counter() + _SECONDS
    started_s = time.perf_counter()

    async def connection() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        done = 0
        while time.perf_counter() < end_s:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status >= 300:
                raise RuntimeError(f"answered {status}: {head.decode(errors='replace')}")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            done += 1
        writer.close()
        return done

    counts = await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    return sum(counts) / (time.perf_counter() - started_s)


@contextlib.contextmanager
def _bare_server() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", _BARE.replace("PORT", str(port))])
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)
