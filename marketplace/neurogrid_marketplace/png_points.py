"""Some points of a PNG picture, without a library: those of a grid, as they were drawn. Pure.

A file comes from a stranger: it is unpacked no further than its own size says, and that has a bound. What is read is what the
usual servers write: 8 bits a channel, grey or colour, with or without transparency, not interlaced.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
POINTS_MAX: Final = 2048 * 2048
# Points of the grid on each side.
SIDE: Final = 64
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {0: 1, 2: 3, 4: 2, 6: 4}
_BITS: Final = 8
_COLOURS: Final = 3
_HEAD: Final = struct.Struct(">IIBBBBB")


class Unreadable(Exception):
    """It is no picture that can be read; says why."""


@dataclass(frozen=True, slots=True)
class Points:
    """Of a picture; ``colours``: red, green and blue of each point of the grid, row by row, a byte each."""

    width: int
    height: int
    colours: bytes


def points_of(file: bytes) -> Points:
    """See the module.

    Raises:
        Unreadable: see `Unreadable`.
    """
    if not file.startswith(_SIGNATURE) or len(file) > FILE_BYTES_MAX:
        raise Unreadable("no PNG, or too large")
    head, packed = b"", []
    at = len(_SIGNATURE)
    while at + 8 <= len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        data = file[at + 8 : at + 8 + size]
        at += size + 12
        if kind == b"IHDR" and not head:
            head = data
        elif kind == b"IDAT":
            packed.append(data)
        elif kind == b"IEND":
            break
    if len(head) != _HEAD.size:
        raise Unreadable("it has no head")
    width, height, bits, colour, _, _, interlaced = _HEAD.unpack(head)
    channels = _CHANNELS.get(colour, 0)
    if bits != _BITS or not channels or interlaced:
        raise Unreadable("not 8 bits a channel, or interlaced")
    if not 0 < width * height <= POINTS_MAX:
        raise Unreadable("too large")
    row_bytes = width * channels
    return Points(
        width, height, _grid(_unpacked(packed, (row_bytes + 1) * height), width, height, channels)
    )


def _unpacked(packed: list[bytes], size: int) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        lines = unpacking.decompress(b"".join(packed), size)
    except zlib.error as error:
        raise Unreadable("it cannot be unpacked") from error
    if len(lines) != size:
        raise Unreadable("it ends too early")
    return lines


def _grid(lines: bytes, width: int, height: int, channels: int) -> bytes:
    wanted_rows = [(2 * each + 1) * height // (2 * SIDE) for each in range(SIDE)]
    wanted_columns = [(2 * each + 1) * width // (2 * SIDE) for each in range(SIDE)]
    row_bytes = width * channels
    above = bytearray(row_bytes)
    found = bytearray()
    for number in range(height):
        begin = number * (row_bytes + 1)
        row = bytearray(lines[begin + 1 : begin + 1 + row_bytes])
        _restore(lines[begin], row, above, channels)
        for _ in range(wanted_rows.count(number)):
            for column in wanted_columns:
                colours = row[column * channels : (column + 1) * channels]
                found += colours[:3] if channels >= _COLOURS else colours[:1] * _COLOURS
        above = row
    return bytes(found)


def _restore(kind: int, row: bytearray, above: bytearray, channels: int) -> None:
    """Undo the filter of a row (PNG, 9.2)."""
    size = len(row)
    match kind:
        case 0:
            pass
        case 1:
            for at in range(channels, size):
                row[at] = row[at] + row[at - channels] & 255
        case 2:
            for at in range(size):
                row[at] = row[at] + above[at] & 255
        case 3:
            for at in range(size):
                left = row[at - channels] if at >= channels else 0
                row[at] = row[at] + (left + above[at] >> 1) & 255
        case 4:
            for at in range(size):
                left, corner = (
                    (row[at - channels], above[at - channels]) if at >= channels else (0, 0)
                )
                up = above[at]
                by_left, by_up = abs(up - corner), abs(left - corner)
                by_corner = abs(left + up - 2 * corner)
                near = (
                    left
                    if by_left <= by_up and by_left <= by_corner
                    else up
                    if by_up <= by_corner
                    else corner
                )
                row[at] = row[at] + near & 255
        case _:
            raise Unreadable("a row has no filter that there is")
