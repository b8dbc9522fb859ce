"""``/services/{task_id}/...``: a service for its task's owner, over HTTP and WebSocket.

The service stands at the path that follows; docs/services.md says what it is told and what it can't say.
"""

import asyncio
import re
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ..api.auth import Caller, Gate
from ..api.errors import answer
from ..api.job_socket import deny
from ..api.paths import API
from ..services.errors import NotFound, Refused, Unavailable
from ..services.job_access import JobAccess
from ..store.database import DatabaseClosed, Overloaded
from .answering import Answer, until_one_ends
from .connection import ServiceBroken, ServiceConnection
from .exchange import ClientGone, exchange
from .headers import Headers, passed_back, passed_on
from .websocket import ServiceSocket, join

SERVICES_PATH: Final = f"{API}/services/{{task_id}}"
_PLACE = re.compile(rb"(?P<prefix>.*/services/task_[0-9a-f]{32})(?P<rest>/.*)?", re.DOTALL)


class Gateway:
    """An ASGI application for everything below `SERVICES_PATH`.

    Args:
        stopping: set when the coordinator stops; every connection is then closed.
    """

    def __init__(self, gate: Gate, access: JobAccess, stopping: asyncio.Event) -> None:
        self._gate = gate
        self._access = access
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or one WebSocket, to its end."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = Answer(send)
        refusal: Response
        try:
            task_id, prefix, target = _place(scope)
            if not target:
                await RedirectResponse(prefix + "/", 308)(scope, receive, send)
                return
            caller = await self._gate.of_socket(HTTPConnection(scope))
            async with self._access.connection(caller.account, task_id) as stream:
                connection = ServiceConnection(stream)
                work = exchange(
                    connection,
                    scope,
                    receive,
                    sent,
                    target=target,
                    headers=_headers(scope, prefix),
                    back=partial(passed_back, prefix=prefix),
                )
                await while_good(self._gate, self._stopping, caller, work)
                return
        except (Refused, Overloaded, DatabaseClosed) as error:
            refusal = answer(error)
        except ServiceBroken as error:
            refusal = answer(Unavailable(f"the task's service failed: {error}"))
        except ClientGone:
            raise ClientDisconnect from None
        if sent.has_begun:
            # The connection is closed, and so the client knows that this is not the whole.
            raise ClientDisconnect
        await refusal(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        try:
            task_id, prefix, target = _place(scope)
            caller = await self._gate.of_socket(websocket)
            async with self._access.connection(caller.account, task_id) as stream:
                service = ServiceSocket(
                    ServiceConnection(stream),
                    scope,
                    target=target or b"/",
                    headers=_headers(scope, prefix),
                )
                subprotocol = await service.open()
                await websocket.accept(subprotocol)
                work = join(service, receive, send)
                await while_good(self._gate, self._stopping, caller, work)
        except (Refused, Overloaded, DatabaseClosed) as error:
            await deny(websocket, answer(error), receive)
        except ServiceBroken as error:
            why = Unavailable(f"the task's service failed: {error}")
            await deny(websocket, answer(why), receive)
        except ClientGone:
            return


async def while_good(
    gate: Gate, stopping: asyncio.Event, caller: Caller, work: Coroutine[Any, Any, None]
) -> None:
    """Do this; it ends when the coordinator does, or the caller's key.

    Raises:
        ClientGone: it ended for that.
    """
    async with until_one_ends(work, stopping.wait(), gate.ended(caller)) as (doing, *_):
        if not doing.done():
            raise ClientGone
        doing.result()


def gateway_routes(gateway: Gateway) -> list[BaseRoute]:
    """Where it stands; every method."""
    paths = (SERVICES_PATH, SERVICES_PATH + "/{path:path}")
    return [
        *(Route(path, gateway) for path in paths),
        *(WebSocketRoute(path, gateway) for path in paths),
    ]


def _headers(scope: Scope, prefix: str) -> Headers:
    """Of a request, as the service at this path gets them."""
    headers: Headers = scope["headers"]
    host = dict(headers).get(b"host", b"")
    return passed_on(headers, host=host, scheme=scope["scheme"], prefix=prefix)


def _place(scope: Scope) -> tuple[str, str, bytes]:
    """Of a request: which task's service, the path that it stands at, and what is asked of it (b"": no path).

    Raises:
        NotFound: it is nobody's place.
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    found = _PLACE.fullmatch(raw.partition(b"?")[0])
    if found is None:
        raise NotFound("there is no such task")
    prefix = found["prefix"].decode("latin-1")
    query = scope["query_string"]
    target = found["rest"] or b""
    if target and query:
        target += b"?" + query
    return prefix.rpartition("/")[2], prefix, target
