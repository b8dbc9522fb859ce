"""1,000 listeners at ``/ws`` beside a bare Starlette socket that tells as many the same bytes.

Measured is the time from sending a submission to the last listener's first byte about it, so the
request, the commit and the way to all of them are in it; and what a listener takes of the server's
memory. The listeners are plain sockets in this process, the same for both sides.
"""

import asyncio
import base64
import json
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit

import psutil

from .market import Market
from .report import Figure, beside
from .rest import bare_server, no_such_machine, request

_LISTENERS = 1000
_EVENTS = 20
_PAUSE_S = 0.2
_LIMIT_S = 60.0
# Fewer than an address may have sockets that have shown no key yet.
_CONNECTING_AT_ONCE = 8
_FLOOR = "bare Starlette socket"
_KIB = 1024
# The one event that every submission has at once; those of waiting tasks come again and again.
_MARK = b'"type":"task.created"'
_BARE = """
import asyncio
import contextlib
import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

listeners = set()
event = '{"type":"task.created","padding":"%s"}' % ("x" * 400)

async def listen(socket):
    await socket.accept()
    listeners.add(socket)
    try:
        await socket.receive_text()
        await socket.send_text('{"type":"authenticated"}')
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await socket.receive_text()
    finally:
        listeners.discard(socket)

async def tell(request):
    await request.body()
    for listener in list(listeners):
        await listener.send_text(event)
    return JSONResponse({"hello": "world"})

app = Starlette(routes=[WebSocketRoute("/ws", listen), Route("/", tell, methods=["POST"])])
uvicorn.run(app, host="127.0.0.1", port=PORT, log_level="error", access_log=False, backlog=2048)
"""


def measure(market: Market) -> list[Figure]:
    """Ours, then the bare socket: the slowest and the median event, and a listener's memory."""
    with _many_files():
        port = urlsplit(market.network["api_url"]).port
        assert port is not None, "network.json names a port"
        key = market.network["api_key"]
        submit = request("POST", "/api/v1/tasks", key, no_such_machine())
        api_pid = int(market.network["coordinator"]["api_pid"])
        ours_ms, ours_kib = asyncio.run(_told(port, key, submit, api_pid))
        with bare_server(_BARE) as (bare_port, bare_pid):
            bare_submit = request("POST", "/", "", no_such_machine())
            bare_ms, bare_kib = asyncio.run(_told(bare_port, key, bare_submit, bare_pid))
    return [
        beside("event_to_1000_ms_max", max(ours_ms), "ms", _FLOOR, max(bare_ms), _EVENTS),
        beside("event_to_1000_ms", median(ours_ms), "ms", _FLOOR, median(bare_ms), _EVENTS),
        beside("listener_kib", ours_kib, "KiB", _FLOOR, bare_kib, 1),
    ]


class _Listener(asyncio.Protocol):
    """One socket at ``/ws``: counts events, and says when one has come."""

    def __init__(self, port: int, key: str, heard: asyncio.Queue[float]) -> None:
        self._port = port
        self._key = key
        self._heard = heard
        self._tail = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport), "TCP"
        self._transport = transport
        nonce = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /ws HTTP/1.1\r\nHost: localhost:{self._port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {nonce}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self.ready.done():
            if b" 101 " in data:
                auth = json.dumps({"type": "auth", "token": self._key})
                self._transport.write(_text_frame(auth))
            if b'"authenticated"' in data:
                self.ready.set_result(None)
            return
        # Only the end of what came before matters: a mark may lie across two reads.
        seen = self._tail + data
        for _ in range(seen.count(_MARK)):
            self._heard.put_nowait(time.perf_counter())
        self._tail = seen[-len(_MARK) + 1 :]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"a listener was not let in: {error}"))

    def close(self) -> None:
        self._transport.close()


async def _told(port: int, key: str, submit: bytes, pid: int) -> tuple[list[float], float]:
    """Milliseconds until each event had reached everybody, and KiB that a listener takes."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[float] = asyncio.Queue()
    listeners = []
    before = psutil.Process(pid).memory_full_info().uss
    for _ in range(_LISTENERS // _CONNECTING_AT_ONCE):
        some = [
            (await loop.create_connection(lambda: _Listener(port, key, heard), "127.0.0.1", port))[
                1
            ]
            for _ in range(_CONNECTING_AT_ONCE)
        ]
        async with asyncio.timeout(_LIMIT_S):
            await asyncio.gather(*(listener.ready for listener in some))
        listeners += some
    grown_kib = (psutil.Process(pid).memory_full_info().uss - before) / _KIB / _LISTENERS
    took_ms = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(_EVENTS):
        started_s = time.perf_counter()
        writer.write(submit)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if int(head.split(b" ", 2)[1]) >= 300:
            raise RuntimeError(f"answered {answer.decode(errors='replace')}")
        last_s = started_s
        async with asyncio.timeout(_LIMIT_S):
            for _ in range(_LISTENERS):
                last_s = max(last_s, await heard.get())
        took_ms.append((last_s - started_s) * 1000)
        await asyncio.sleep(_PAUSE_S)
    writer.close()
    for listener in listeners:
        listener.close()
    return took_ms, grown_kib


def _text_frame(text: str) -> bytes:
    """A client's text frame (RFC 6455, 5.2), masked with zeros."""
    payload = text.encode()
    assert len(payload) < 126, "one byte of length"
    return bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload


@contextmanager
def _many_files() -> Iterator[None]:
    """As many open files as may be: a socket for each listener."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
