"""A JSON-RPC server over HTTP in this process, with an answer function instead of a chain."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream


@dataclass
class Refusal(Exception):
    """Answer with this JSON-RPC error."""

    code: int
    message: str = "no"
    data: Any = None


@dataclass
class HttpAnswer(Exception):
    """Answer with exactly this."""

    status: int
    body: bytes = b""


class LostReply(Exception):
    """Close the connection without an answer."""


Answer = Callable[[str, list[Any]], Any]
"""Gives the result of a method, or raises one of the above."""


@asynccontextmanager
async def serve(answer: Answer) -> AsyncIterator[str]:
    """Serve until the block ends; gives the URL."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)

    async def connected(stream: SocketStream) -> None:
        async with stream:
            try:
                await _answer_all(stream, answer)
            except (anyio.IncompleteRead, anyio.BrokenResourceError, LostReply):
                return

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, connected)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            tasks.cancel_scope.cancel()


async def _answer_all(stream: SocketStream, answer: Answer) -> None:
    buffered = BufferedByteReceiveStream(stream)
    while True:
        head = (await buffered.receive_until(b"\r\n\r\n", 65536)).decode().lower()
        [length] = [
            int(line.partition(":")[2])
            for line in head.split("\r\n")
            if line.startswith("content-length")
        ]
        request = json.loads(await buffered.receive_exactly(length))
        status, body = _reply(request, answer)
        await stream.send(
            f"HTTP/1.1 {status} Status\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )


def _reply(request: dict[str, Any], answer: Answer) -> tuple[int, bytes]:
    reply: dict[str, Any] = {"jsonrpc": "2.0", "id": request["id"]}
    try:
        reply["result"] = answer(request["method"], request.get("params") or [])
    except Refusal as refusal:
        reply["error"] = {"code": refusal.code, "message": refusal.message, "data": refusal.data}
    except HttpAnswer as http:
        return http.status, http.body
    return 200, json.dumps(reply).encode()
