"""libp2p's small messages, read and written by hand: protobuf with varints and byte strings only.

Whatever strangers send is read into numbers and bytes, within bounds that the caller sets by the size of
what it reads; what the messages mean is said where they are used. Source: protobuf.dev, "Encoding".
"""

from collections.abc import Iterable

from .errors import HandshakeFailed
from .varint import digits, take

_VARINT = 0
_FIXED_64 = 1
_BYTES = 2
_FIXED_32 = 5
# Fields of one message; those that are repeated count each time. Nobody's message has nearly as many.
_MAX_FIELDS = 1024


class Fields:
    """What a message holds, by the fields' numbers."""

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            HandshakeFailed: not a message.
        """
        self._numbers: dict[int, list[int]] = {}
        self._pieces: dict[int, list[bytes]] = {}
        position = count = 0
        while position < len(data):
            count += 1
            if count > _MAX_FIELDS:
                raise HandshakeFailed(f"a message of more than {_MAX_FIELDS} fields")
            tag, position = take(data, position)
            number, kind = tag >> 3, tag & 7
            if kind == _VARINT:
                value, position = take(data, position)
                self._numbers.setdefault(number, []).append(value)
                continue
            if kind == _BYTES:
                length, position = take(data, position)
            elif kind in (_FIXED_64, _FIXED_32):
                length = 8 if kind == _FIXED_64 else 4
            else:
                raise HandshakeFailed(f"a message with a field of kind {kind}")
            piece = data[position : position + length]
            if len(piece) < length:
                raise HandshakeFailed("a message that ends within a field")
            position += length
            if kind == _BYTES:
                self._pieces.setdefault(number, []).append(piece)

    def number(self, field: int) -> int:
        """The last value of a number; 0 if it has none."""
        return self._numbers.get(field, [0])[-1]

    def piece(self, field: int) -> bytes:
        """The last value of a string of bytes; empty if it has none."""
        return self._pieces.get(field, [b""])[-1]

    def pieces(self, field: int) -> tuple[bytes, ...]:
        """All values of a repeated string of bytes."""
        return tuple(self._pieces.get(field, ()))

    def text(self, field: int) -> str:
        """As `piece`, for people and programs; what is no UTF-8 is replaced."""
        return self.piece(field).decode(errors="replace")


def message(*fields: tuple[int, int | bytes | str | Iterable[bytes]]) -> bytes:
    """A message of these fields, in this order: number and value; of a repeated one, all values."""
    data = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            data += digits(number << 3 | _VARINT) + digits(value)
            continue
        if isinstance(value, str):
            value = value.encode()
        for piece in (value,) if isinstance(value, bytes) else value:
            data += digits(number << 3 | _BYTES) + digits(len(piece)) + piece
    return bytes(data)
