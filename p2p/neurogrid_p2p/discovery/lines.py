"""The lines of JSON that pass between the discovery process and its parent."""

import json
from dataclasses import dataclass
from typing import Annotated

import trio
from msgspec import Meta

from neurogrid_marketplace.advert import ADVERTS_MAX, Advert
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import PeerId, Text, Word, decode, plain

from .settings import Settings

# The largest line holds sixteen adverts.
LINE_MAX_BYTES = 131_072
ALIVE_INTERVAL_S = 5.0
_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Ready:
    """It runs.

    Attributes:
        addresses: where others reach it; the first line that it says.
        listen: its listening addresses with the ports that it got.
    """

    peer_id: PeerId
    addresses: tuple[str, ...]
    listen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A coordinator's advert, checked, and who said where to find it.

    Attributes:
        source: its name.
        herald: the address at which it was handed out.
    """

    source: Word
    herald: Text
    advert: Advert


@dataclass(frozen=True, slots=True)
class Looked:
    """How a source is doing: a round of it is over.

    Attributes:
        doing: ``find`` or ``announce``.
        peers: how many it named.
        problem: why it failed; "" if it did not.
    """

    source: Word
    doing: Word
    peers: int
    problem: Text


@dataclass(frozen=True, slots=True)
class Useless:
    """A peer that a source named, and that has no advert for us.

    Attributes:
        problem: why.
    """

    source: Word
    herald: Text
    problem: Text


@dataclass(frozen=True, slots=True)
class Alive:
    """Said every ``ALIVE_INTERVAL_S``, so that a process that is stuck is found out."""

    connections: int


@dataclass(frozen=True, slots=True)
class Carry:
    """To the process: the adverts that it hands out from now on, in place of those before."""

    adverts: Annotated[tuple[Advert, ...], Meta(max_length=ADVERTS_MAX)]


# What the process says.
Report = Ready | Found | Looked | Useless | Alive
Line = Report | Carry | Settings
_LINES: dict[str, type[Line]] = {
    "ready": Ready,
    "found": Found,
    "looked": Looked,
    "useless": Useless,
    "alive": Alive,
    "carry": Carry,
    "settings": Settings,
}
_NAMES = {kind: name for name, kind in _LINES.items()}


def to_line(value: Line) -> bytes:
    """As it passes through the pipe."""
    return json.dumps({"kind": _NAMES[type(value)], **plain(value)}).encode() + b"\n"


def from_line(line: bytes) -> Line:
    """What a line says.

    Raises:
        MalformedMessage: nothing that we know.
    """
    try:
        document = json.loads(line)
    except ValueError as error:
        raise MalformedMessage(f"not JSON: {error}") from error
    kind = _LINES.get(document.pop("kind", "")) if isinstance(document, dict) else None
    if kind is None:
        raise MalformedMessage("a line of no known kind")
    return decode(kind, document)


class Lines:
    """Reads one end of a pipe, line by line."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> Line | None:
        """What is said next; None at the end.

        Raises:
            MalformedMessage: what nobody understands.
        """
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LINE_MAX_BYTES:
                raise MalformedMessage(f"a line of more than {LINE_MAX_BYTES} bytes")
            piece = await self._stream.receive_some(_READ_BYTES)
            if not piece:
                return None
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return from_line(line)
