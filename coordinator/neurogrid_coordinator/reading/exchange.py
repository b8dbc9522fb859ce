"""A request that a reading process asks about, as the application sees it, and its answer."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from starlette.types import Message

from ..server.http_connections import head_of
from ..server.whole_exchanges import EXTENSION
from ..services.written_tasks import OFFERED, Offered
from .frames import Answer, Ask, Headers
from .head import TARGET

_CLOSE = b"connection: close\r\n"
_END = b"\r\n"


class Asked:
    """One request; see `whole_exchanges.WholeExchange`.

    Args:
        client, server: addresses of its connection's ends.
    """

    def __init__(self, ask: Ask, client: object, server: object) -> None:
        self._ask = ask
        self._body: bytes | None = ask.body
        self._left = asyncio.Event()
        self._status = 0
        self._headers: Headers = []
        self._said: list[bytes] = []
        self._offered = Offered(ask.written) if ask.written is not None else None
        extensions: dict[str, Any] = {EXTENSION: self}
        self.scope: MutableMapping[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": server,
            "client": client,
            "scheme": "http",
            "root_path": "",
            "method": "POST",
            "path": TARGET.decode(),
            "raw_path": TARGET,
            "query_string": b"",
            "headers": ask.headers,
            "state": {},
            "extensions": extensions,
            OFFERED: self._offered,
        }

    def arrived(self) -> bytes | None:
        """The body, once."""
        body, self._body = self._body, None
        return body

    async def receive(self) -> Message:
        """The body, and then that the client has left, when it does."""
        body = self.arrived()
        if body is not None:
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    def leave(self) -> None:
        """The client has."""
        self._left.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Take a message of the answer, whole or in parts."""
        if message["type"] != "http.response.body":
            self._status = message["status"]
            # The length is said anew: the body may be another's.
            self._headers = [each for each in message["headers"] if each[0] != b"content-length"]
        body: bytes = message.get("body", b"")
        if body:
            self._said.append(body)

    def answer(self, headers: Headers, *, ends: bool) -> Answer:
        """What was answered.

        Args:
            headers: that all answers have.
            ends: the connection with it.
        """
        if not self._status:
            return self.no_answer()
        is_stored = self._offered is not None and self._offered.stored
        body = None if is_stored else b"".join(self._said)
        length = self._ask.words_bytes if body is None else len(body)
        head = head_of(self._status, headers + self._headers, length)
        return Answer(self._ask.number, head + (_CLOSE + _END if ends else _END), body, ends)

    def no_answer(self) -> Answer:
        """Nobody has answered: closing the connection says so."""
        return Answer(self._ask.number, b"", b"", ends=True)
