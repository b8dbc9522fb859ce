"""One websocket connection: its requests, its subscriptions, its bounded queue of messages."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from neurogrid_contracts.ledger.errors import (
    INTERNAL_ERROR,
    PARSE_ERROR,
    RpcError,
    invalid_params,
)
from neurogrid_contracts.ledger.ledger import Ledger
from neurogrid_contracts.ledger.owner import Owner
from neurogrid_contracts.ledger.params import Params
from neurogrid_contracts.ledger.pubsub import (
    SUBSCRIBE,
    SUBSCRIBE_ARGUMENTS_MAX,
    SUBSCRIPTIONS_PER_CONNECTION_MAX,
    UNSUBSCRIBE,
    Hub,
    SignatureInterest,
    Subscription,
    parse_subscription,
)
from neurogrid_contracts.ledger.rpc import Response, error_response

# A reader this far behind is gone or stuck; it has to subscribe again and read the present state.
OUTBOX_MESSAGES_MAX = 1024
# RFC 6455: 1008 policy violation.
_TOO_SLOW = 1008

Respond = Callable[[object], Awaitable[Response]]


class Connection:
    """Serves one websocket until it ends.

    Args:
        respond: answers ordinary requests.
    """

    def __init__(
        self, socket: WebSocket, hub: Hub, owner: Owner, ledger: Ledger, respond: Respond
    ) -> None:
        self._socket = socket
        self._hub = hub
        self._owner = owner
        self._ledger = ledger
        self._respond = respond
        self._outbox: asyncio.Queue[str] = asyncio.Queue(OUTBOX_MESSAGES_MAX)
        self._overflow = asyncio.Event()
        self._numbers: set[int] = set()

    async def serve(self) -> None:
        await self._socket.accept()
        tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._write()),
            asyncio.create_task(self._overflow.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for number in self._numbers:
                self._hub.remove(number)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self._overflow.is_set():
            # A reader that takes nothing would also block the close; the server then cuts it off.
            with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(0.1):
                    await self._socket.close(_TOO_SLOW, "too slow")

    def _send(self, text: str) -> None:
        try:
            self._outbox.put_nowait(text)
        except asyncio.QueueFull:
            self._overflow.set()

    async def _write(self) -> None:
        while True:
            await self._socket.send_text(await self._outbox.get())

    async def _read(self) -> None:
        while True:
            try:
                text = await self._socket.receive_text()
            except (WebSocketDisconnect, KeyError):  # KeyError: a binary message
                return
            try:
                request = json.loads(text)
            except (ValueError, RecursionError):
                self._answer(error_response(RpcError(PARSE_ERROR, "Parse error")))
                continue
            await self._take(request)

    def _answer(self, response: Response) -> None:
        self._send(json.dumps(response, separators=(",", ":")))

    async def _take(self, request: Any) -> None:
        method = request.get("method") if isinstance(request, dict) else None
        if method not in SUBSCRIBE and method not in UNSUBSCRIBE:
            self._answer(await self._respond(request))
            return
        try:
            if method in UNSUBSCRIBE:
                result = self._unsubscribe(request)
                self._answer({"jsonrpc": "2.0", "result": result, "id": request.get("id")})
            else:
                await self._subscribe(SUBSCRIBE[method], request)
        except RpcError as error:
            self._answer(error_response(error, request.get("id")))

    def _unsubscribe(self, request: dict[str, Any]) -> bool:
        number = Params(request.get("params"), count_max=1).integer(0, "subscription")
        if number not in self._numbers:
            raise invalid_params("Invalid subscription id.")
        self._numbers.discard(number)
        self._hub.remove(number)
        return True

    async def _subscribe(self, kind: str, request: dict[str, Any]) -> None:
        # Signature subscriptions end by themselves.
        self._numbers = {number for number in self._numbers if number in self._hub}
        if len(self._numbers) >= SUBSCRIPTIONS_PER_CONNECTION_MAX:
            raise RpcError(
                INTERNAL_ERROR,
                f"too many subscriptions on this connection; max {SUBSCRIPTIONS_PER_CONNECTION_MAX}",
            )
        params = Params(request.get("params"), count_max=SUBSCRIBE_ARGUMENTS_MAX)
        interest, commitment = parse_subscription(kind, params)
        subscription = self._hub.add(kind, interest, commitment, self._send)
        self._numbers.add(subscription.number)
        # The answer goes first; a notification may follow at once.
        self._answer({"jsonrpc": "2.0", "result": subscription.number, "id": request.get("id")})
        if isinstance(interest, SignatureInterest):
            await self._announce_past(subscription, interest)

    async def _announce_past(self, subscription: Subscription, interest: SignatureInterest) -> None:
        """Notify at once when the transaction is already as settled as wanted."""

        def look_up() -> tuple[int, Any] | None:
            stored = self._ledger.store.transaction(interest.signature)
            if stored is None:
                return None
            wanted = subscription.commitment
            if stored.slot > self._ledger.slot_at(wanted):
                return None
            return stored.slot, None if stored.error is None else json.loads(stored.error)

        found = await self._owner.call(look_up)
        if found is not None:
            self._hub.announce_signature(subscription, *found)
