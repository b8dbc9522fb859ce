"""A small real HTTP server that answers as its script says; otherwise it keeps what it is sent."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio


@dataclass(frozen=True)
class Request:
    """One that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def sha256(self) -> str:
        """The last part of the path, but for what says that it is a checkpoint's."""
        return self.path.removesuffix("/checkpoint").rpartition("/")[2]

    @property
    def is_of_checkpoint(self) -> bool:
        """Whether it is about a file of a checkpoint."""
        return self.path.endswith("/checkpoint")


Answer = Callable[[trio.SocketStream, Request], Awaitable[None]]


@dataclass
class FileServer:
    """Serves `files` by hash; each answer in `script` is given once, before that.

    ``kept``: files of checkpoints, which are others.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    kept: dict[str, bytes] = field(default_factory=dict)
    script: list[Answer] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)

    def add(self, content: bytes) -> str:
        """Keep a file; its hash."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.files[sha256] = content
        return sha256

    @property
    def seen(self) -> list[str]:
        """The methods that were asked for, in order."""
        return [request.method for request in self.requests]

    async def serve(self, stream: trio.SocketStream) -> None:
        try:
            while (request := await _read(stream)) is not None:
                self.requests.append(request)
                answer = self.script.pop(0) if self.script else self._answer
                await answer(stream, request)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def _answer(self, stream: trio.SocketStream, request: Request) -> None:
        files = self.kept if request.is_of_checkpoint else self.files
        content = files.get(request.sha256)
        if request.method == "PUT":
            files[request.sha256] = request.body
            await respond(stream, 201)
        elif content is None:
            await respond(stream, 404)
        else:
            await respond(stream, 200, b"" if request.method == "HEAD" else content)


@asynccontextmanager
async def file_server() -> AsyncIterator[FileServer]:
    """One on a free port."""
    server = FileServer()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        server.url = f"http://127.0.0.1:{port}/artifacts"
        yield server
        nursery.cancel_scope.cancel()


async def respond(stream: trio.SocketStream, status: int, body: bytes = b"", *more: str) -> None:
    """A whole answer."""
    head = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *more]
    await stream.send_all("\r\n".join([*head, "", ""]).encode() + body)


def status(code: int, *more: str) -> Answer:
    """An answer without a body."""

    async def answer(stream: trio.SocketStream, request: Request) -> None:
        await respond(stream, code, b"", *more)

    return answer


def content(body: bytes, *more: str) -> Answer:
    """An answer with this body, whatever was asked for."""

    async def answer(stream: trio.SocketStream, request: Request) -> None:
        await respond(stream, 200, body, *more)

    return answer


def cut(body: bytes, after_bytes: int) -> Answer:
    """A connection that breaks in the middle of the body."""

    async def answer(stream: trio.SocketStream, request: Request) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await stream.send_all(head + body[:after_bytes])
        await stream.aclose()

    return answer


def stalled(body: bytes, after_bytes: int) -> Answer:
    """A server that stops in the middle of the body and keeps the connection."""

    async def answer(stream: trio.SocketStream, request: Request) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        await stream.send_all(head + body[:after_bytes])
        await trio.sleep_forever()

    return answer


def endless() -> Answer:
    """A body without an end."""

    async def answer(stream: trio.SocketStream, request: Request) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    return answer


async def _read(stream: trio.SocketStream) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    length = int(headers.get("content-length", 0))
    while len(body) < length:
        piece = await stream.receive_some(65536)
        if not piece:
            return None
        body += piece
    method, path, _ = first.split(" ")
    return Request(method, path, headers, body)
