"""The api of a coordinator that does not lead: its own answers, and those of who leads, passed on as they are."""

from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from ..api.client_address import Proxies
from ..api.errors import Forms, answer
from ..api.head import GET, HEAD
from ..api.job_socket import deny
from ..api.paths import API
from ..api.request_ids import REQUEST_ID_STATE
from ..gateway.answering import Answer, until_one_ends
from ..gateway.connection import ServiceBroken
from ..gateway.exchange import HEAD_LIMIT_S, ClientGone, exchange
from ..gateway.headers import Headers, end_to_end
from ..gateway.websocket import HandshakeRefused, ServiceSocket, join
from ..metrics.reading import PassedOn
from ..services.errors import Refused, Unavailable
from ..store.database import DatabaseClosed, Overloaded
from .leader import Leader, LeaderConnection
from .own_routes import is_own

# Whoever leads no more must not have it passed on to itself.
_PASSED_ON = (b"x-neurogrid-passed-on", b"1")
_HANDSHAKE = b"sec-websocket-"
_REQUEST_ID = b"x-request-id"
_SAID_ANEW = (b"expect", _REQUEST_ID)
_NOT_BACK = frozenset(("connection", "content-length", "transfer-encoding", "x-request-id"))
# A service of a job, and a model, may think for minutes; all else answers at once, or is stopped.
_SLOW = (
    *("/api/v1/services/", "/api/v1/model-servers/", "/api/v1/models/generate/"),
    *("/api/v1/models/transcribe", "/v1/", "/ai/"),
)
_ANSWER_LIMIT_S = 60.0
# RFC 6455's registry: come again.
_SERVICE_RESTART = 1012
# How we are: said by who leads if it is there at once, else as far as it is known here. Load balancers take a
# coordinator out that does not answer these.
_ABOUT_US = frozenset(("/health", f"{API}/status"))
ABOUT_US_LIMIT_S = 2.0


class Following:
    """An ASGI application.

    Args:
        app: answers what is ours.
        proxies: which header says whose request it is.
        counts: of what was passed on.
        keeps_replicas: whether replicas of models are kept, which the leader asks.
    """

    def __init__(
        self,
        app: ASGIApp,
        leader: Leader,
        proxies: Proxies,
        forms: Forms,
        counts: PassedOn,
        *,
        keeps_replicas: bool = False,
    ) -> None:
        self._app = app
        self._leader = leader
        self._proxies = proxies
        self._forms = forms
        self._counts = counts
        self._keeps_replicas = keeps_replicas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        kind = scope["type"]
        if kind not in ("http", "websocket") or is_own(
            kind, scope["path"], keeps_replicas=self._keeps_replicas
        ):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["path"] in _ABOUT_US and scope["method"] in (GET, HEAD):
            await self._about_us(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _about_us(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the leader says, or what is said without one."""
        sent = Answer(send)
        try:
            headers = self._headers(scope)
            async with await self._leader.connect(wait_s=0) as connection:
                await self._exchange(connection, scope, receive, sent, headers, ABOUT_US_LIMIT_S)
        except (Refused, Overloaded, DatabaseClosed, ServiceBroken):
            if sent.has_begun:
                raise ClientDisconnect from None
            await self._app(scope, receive, send)
        except ClientGone:
            raise ClientDisconnect from None

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = Answer(send)
        limit_s = HEAD_LIMIT_S if scope["path"].startswith(_SLOW) else _ANSWER_LIMIT_S
        why: Refused | Overloaded | DatabaseClosed
        try:
            headers = self._headers(scope)
            async with await self._leader.connect() as connection:
                await self._exchange(connection, scope, receive, sent, headers, limit_s)
                self._counts.answered += 1
                return
        except (Refused, Overloaded, DatabaseClosed) as error:
            why = error
        except ServiceBroken as error:
            why = Unavailable(f"the coordinator that leads is gone ({error}); try again")
        except ClientGone:
            raise ClientDisconnect from None
        self._counts.unanswered += 1
        if sent.has_begun:
            # The connection is closed, and so the client knows that this is not the whole.
            raise ClientDisconnect
        await answer(why, self._forms.of(scope["path"]))(scope, receive, send)

    async def _exchange(
        self,
        connection: LeaderConnection,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        limit_s: float,
    ) -> None:
        await self._while_it_leads(
            connection,
            exchange(
                connection,
                scope,
                receive,
                send,
                target=_target(scope),
                headers=headers,
                back=_back,
                head_limit_s=limit_s,
            ),
        )

    async def _while_it_leads(
        self, connection: LeaderConnection, passing_on: Coroutine[Any, Any, None]
    ) -> None:
        """Until it is done, or raises, or who leads is replaced: then ServiceBroken."""
        both = until_one_ends(passing_on, self._leader.follow(connection))
        async with both as (passing, following):
            # What was passed on to its end counts, whoever leads now.
            (passing if passing.done() else following).result()

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        try:
            headers = [each for each in self._headers(scope) if not each[0].startswith(_HANDSHAKE)]
            async with await self._leader.connect() as connection:
                socket = ServiceSocket(connection, scope, target=_target(scope), headers=headers)
                subprotocol = await socket.open()
                self._counts.answered += 1
                await websocket.accept(subprotocol)
                try:
                    await self._while_it_leads(connection, join(socket, receive, send))
                except ServiceBroken as error:
                    # It may have left meanwhile.
                    with suppress(RuntimeError, OSError):
                        await websocket.close(_SERVICE_RESTART, str(error))
        except HandshakeRefused as refused:
            said = refused.response
            kept = {
                name: value
                for name, value in said.headers.raw_items()
                if name.lower() not in _NOT_BACK
            }
            await deny(
                websocket, Response(bytes(said.body or b""), said.status_code, kept), receive
            )
        except (Refused, Overloaded, DatabaseClosed) as error:
            self._counts.unanswered += 1
            await deny(websocket, answer(error), receive)
        except ServiceBroken as error:
            self._counts.unanswered += 1
            why = Unavailable(f"the coordinator that leads is gone ({error}); try again")
            await deny(websocket, answer(why), receive)
        except ClientGone:
            return

    def _headers(self, scope: Scope) -> Headers:
        """A request's headers, as who leads gets them: with the address that we were asked from.

        Raises:
            Unavailable: it was passed on to us, who lead no more, or not yet.
        """
        headers: Headers = list(scope["headers"])
        if _PASSED_ON in headers:
            raise Unavailable("no coordinator leads at the moment; try again")
        passed = [each for each in end_to_end(headers) if each[0] not in _SAID_ANEW]
        passed.append((_REQUEST_ID, str(scope["state"][REQUEST_ID_STATE]).encode()))
        client = scope.get("client")
        if client:
            if self._proxies.header == "forwarded":
                named = f'"[{client[0]}]"' if ":" in client[0] else client[0]
                passed.append((b"forwarded", f"for={named};proto={scope['scheme']}".encode()))
            else:
                passed.append((b"x-forwarded-for", client[0].encode()))
        return [*passed, _PASSED_ON]


def _back(headers: Headers) -> Headers:
    """A response's headers, as the client gets them; the request's id is ours to say."""
    return [each for each in end_to_end(headers) if each[0] != _REQUEST_ID]


def _target(scope: Scope) -> bytes:
    """Path and query, as they came."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    path = raw.partition(b"?")[0]
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path
