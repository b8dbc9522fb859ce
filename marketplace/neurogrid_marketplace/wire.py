"""Frames on a stream: four bytes of length (big-endian), then one msgpack map.

``feed`` takes bytes as they arrive, in any pieces, and returns whole messages; nothing here reads
a socket. Every limit has a name and stands before any memory is taken.
"""

import struct

import msgpack

from .errors import InvalidValue, MalformedMessage

# The largest message is a job of 256 inputs at their longest paths, about 700 KiB; then a result
# with a manifest of 1,000 files, about 620 KiB (`messages.MAX_OUTPUT_PATHS_BYTES`).
MAX_FRAME_BYTES = 1024 * 1024
_HEADER = struct.Struct(">I")
_MAX_ITEMS = 16_384
# Arrays and maps in one message, nested ones included. An empty array is one byte on the wire and 56
# in memory; without this, one frame of them takes 68 MB. The largest message of ours has 1,010.
_MAX_CONTAINERS = 16_384


def encode_frame(value: dict[str, object]) -> bytes:
    """One frame.

    Raises:
        InvalidValue: larger than ``MAX_FRAME_BYTES``.
    """
    payload: bytes = msgpack.packb(value, use_bin_type=True)
    if len(payload) > MAX_FRAME_BYTES:
        raise InvalidValue(f"a frame of {len(payload)} bytes; the limit is {MAX_FRAME_BYTES}")
    return _HEADER.pack(len(payload)) + payload


class FrameDecoder:
    """Turns a byte stream into messages. One per stream; after an error the stream is useless."""

    def __init__(self, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_frame_bytes = max_frame_bytes

    def feed(self, data: bytes) -> list[dict[str, object]]:
        """Take the next bytes; return the messages they complete.

        Raises:
            MalformedMessage: a frame over the limit, no msgpack, or no map at the top.
        """
        self._buffer += data
        messages: list[dict[str, object]] = []
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > self._max_frame_bytes:
                raise MalformedMessage(
                    f"a frame of {length} bytes; the limit is {self._max_frame_bytes}"
                )
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            messages.append(_unpack(bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return messages


class _Containers:
    """Counts the arrays and maps of one message while it is unpacked."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, container: object) -> object:
        self._count += 1
        if self._count > _MAX_CONTAINERS:
            raise ValueError(f"more than {_MAX_CONTAINERS} arrays and maps")
        return container


def _unpack(payload: bytes) -> dict[str, object]:
    containers = _Containers()
    try:
        value = msgpack.unpackb(
            payload,
            raw=False,
            strict_map_key=True,
            list_hook=containers,
            object_hook=containers,
            max_array_len=_MAX_ITEMS,
            max_map_len=_MAX_ITEMS,
            max_ext_len=0,
        )
    # msgpack documents ValueError as the base of its own; the others come from hostile input.
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as error:
        raise MalformedMessage(f"not msgpack: {error}") from error
    if not isinstance(value, dict):
        raise MalformedMessage("the top of a message is a map")
    return value
