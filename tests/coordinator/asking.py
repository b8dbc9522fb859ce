"""One request to the application without a server, a WebSocket's handshake included."""

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import quote

import httpx
from starlette.types import Message

from coordinator.api_world import World
from coordinator.route_access import WEBSOCKET, Operation
from neurogrid_coordinator.api.errors import CODES

# Where the key comes in the first message, not in a header.
_EVENTS = "/ws"
_ALL_WELL = 101
# No answer takes so long; one that never ends should say so.
_LIMIT_S = 60


async def ask(
    world: World,
    operation: Operation,
    path: str,
    credential: str,
    body: bytes = b"",
    signed: Mapping[str, str] | None = None,
) -> httpx.Response:
    """What this operation answers at ``path`` to who says ``Authorization: credential``.

    Args:
        signed: the headers of the wallet's signature.

    A WebSocket that is opened answers 101; where the key is told in the first message, the answer is that to
    the message, with the status of the error's code.
    """
    async with asyncio.timeout(_LIMIT_S):
        if operation.method == WEBSOCKET:
            answer = await _handshake(world, path, credential)
            answer.request = httpx.Request("GET", f"http://api{path}")
            return answer
        headers = {**(signed or {}), **({"Authorization": credential} if credential else {})}
        return await world.client().request(
            operation.method, path, content=body or None, headers=headers
        )


async def _handshake(world: World, path: str, credential: str) -> httpx.Response:
    headers = [(b"host", b"api")]
    if credential:
        headers.append((b"authorization", credential.encode()))
    scope = {
        "type": "websocket",
        "scheme": "ws",
        "path": path,
        "raw_path": quote(path).encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    to_app: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    to_app.put_nowait({"type": "websocket.connect"})
    application = asyncio.ensure_future(world.app(scope, to_app.get, said.put))
    try:
        return await _answer(to_app, said, None if path != _EVENTS else credential)
    finally:
        to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await application


async def _answer(
    to_app: "asyncio.Queue[Message]", said: "asyncio.Queue[Message]", credential: str | None
) -> httpx.Response:
    """The handshake's; with a credential, the answer to who says it first."""
    message = await said.get()
    if message["type"] == "websocket.http.response.start":
        status, headers = message["status"], message["headers"]
        body = b""
        more = True
        while more:
            message = await said.get()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        return httpx.Response(status, headers=headers, content=body)
    assert message["type"] == "websocket.accept", message
    if credential is None:
        return httpx.Response(_ALL_WELL)
    token = credential.partition(" ")[2]
    to_app.put_nowait(
        {"type": "websocket.receive", "text": json.dumps({"type": "auth", "token": token})}
    )
    while True:
        words = json.loads((await said.get())["text"])
        match words["type"]:
            case "authenticated":
                return httpx.Response(_ALL_WELL)
            case "error":
                error = words["error"]
                return httpx.Response(
                    CODES[error["code"]][0], json={"success": False, "error": error}
                )
