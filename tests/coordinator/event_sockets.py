"""Sockets at ``/ws``: the next message, and one that has shown its key."""

import json
from typing import Any

from websockets.asyncio.client import ClientConnection, connect


async def receive(socket: ClientConnection, *, skip: tuple[str, ...] = ("heartbeat",)) -> Any:
    while True:
        message = json.loads(await socket.recv())
        if message["type"] not in skip:
            return message


async def authenticated(address: str, key: str, **more: object) -> ClientConnection:
    socket = await connect(f"ws://{address}/ws")
    assert (await receive(socket))["type"] == "connected"
    await socket.send(json.dumps({"type": "auth", "token": key, **more}))
    assert (await receive(socket))["type"] == "authenticated"
    return socket
