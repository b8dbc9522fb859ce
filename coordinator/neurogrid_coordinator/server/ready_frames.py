"""WebSocket messages that are made once and written to many: an unmasked text frame is the same for everybody.

The server's connection offers itself in the ASGI scope; what it does not take at once goes by way of the
application like any other message.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from websockets.frames import Frame, Opcode

# Of `scope["extensions"]`.
EXTENSION = "neurogrid.ready_frames"


class ReadyFrames(Protocol):
    """A connection that takes them."""

    def offer(self, frames: bytes) -> bool:
        """Write whole frames after all that was sent before; False: nothing was written, because the client
        does not read what it already has, or the connection ends."""


def text_frame(payload: bytes) -> bytes:
    """A server's whole message (RFC 6455, 5.2), uncompressed, which RFC 7692 allows of every message."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def ready_frames(scope: Mapping[str, Any]) -> ReadyFrames | None:
    """Of the connection with this scope; None where its server has no such thing."""
    return cast("ReadyFrames | None", scope.get("extensions", {}).get(EXTENSION))
