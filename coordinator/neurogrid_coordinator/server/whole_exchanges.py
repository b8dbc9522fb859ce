"""A request that has come whole, and an answer that goes out whole: one message each, where ASGI has two or more.

The server's connection offers this in the ASGI scope. A body that came in the same packet as its head is simply
there, and an answer that is known whole is written with one system call, past the server's own look at each header.
"""

from collections.abc import Awaitable, Mapping, MutableMapping
from typing import Any, Protocol, cast

from starlette.types import Message

# Of `scope["extensions"]`, and the type of a message that `WholeExchange.send` takes beside ASGI's: it has the status
# and headers of `http.response.start`, without the length, and the body.
EXTENSION = "neurogrid.whole_exchange"


class WholeExchange(Protocol):
    """A request of a connection that takes such messages."""

    def arrived(self) -> bytes | None:
        """The body, if it is all there and nobody has received any of it; it is given out once."""

    def send(self, message: MutableMapping[str, Any]) -> Awaitable[None]:
        """Send a message of ASGI's, or a whole answer."""


def whole_exchange(scope: Mapping[str, Any]) -> WholeExchange | None:
    """Of the request with this scope; None where its server has no such thing."""
    extensions = scope.get("extensions")
    return cast("WholeExchange | None", extensions.get(EXTENSION)) if extensions else None


def whole_answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> Message:
    """An answer as one message.

    Args:
        headers: with small letters, and without ``content-length``, which the connection writes.
    """
    return {"type": EXTENSION, "status": status, "headers": headers, "body": body}


def in_parts(message: Message) -> list[Message]:
    """A message as ASGI has it: a whole answer's beginning and its body, any other as it is."""
    if message["type"] != EXTENSION:
        return [message]
    body = message["body"]
    length = (b"content-length", b"%d" % len(body))
    return [
        {
            "type": "http.response.start",
            "status": message["status"],
            "headers": [length, *message["headers"]],
        },
        {"type": "http.response.body", "body": body},
    ]
