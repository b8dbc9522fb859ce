"""How long a recording can be at most, by its own header: WAV, FLAC, and Opus in Ogg. Pure.

Nothing is decoded. Who made the recording wrote its header, so this bounds what a server may count, and says nothing where a
header says nothing: MPEG audio, MP4 and WebM have none at a fixed place.
"""

import struct
from typing import Final

# All that is looked at: the beginning, and the end, where the last page of an Ogg is whole (RFC 3533: at most 65,307 bytes).
ENDS_BYTES: Final = 64 * 1024
_ONE_BY_ONE: Final = frozenset((1, 3, 6, 7))
_EXTENSIBLE: Final = 0xFFFE
_PAGE_BYTES: Final = 27
_BEGINS: Final = 0x02
_OPUS_HERTZ: Final = 48_000
# What a decoder may add: it fills its last frame.
_SLACK_MS: Final = 100
_SECOND_MS: Final = 1000


def longest_ms(head: bytes, tail: bytes, size_bytes: int) -> int | None:
    """How much sound there is at most, as whole seconds that have begun, as servers count them; None: its header does not say.

    Args:
        head, tail: its first and its last `ENDS_BYTES`; all of a shorter one.
        size_bytes: of all of it.
    """
    try:
        points, hertz = _points(head, tail, size_bytes)
    except (struct.error, IndexError):
        return None
    if points <= 0 or hertz <= 0:
        return None
    length_ms = points * _SECOND_MS // hertz + _SLACK_MS
    return -(-length_ms // _SECOND_MS) * _SECOND_MS


def _points(head: bytes, tail: bytes, size_bytes: int) -> tuple[int, int]:
    """How many points there are of each channel, and how many make a second; nothing where it does not say."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _of_wav(head, size_bytes)
    if head.startswith(b"fLaC"):
        return _of_flac(head)
    if head.startswith(b"OggS"):
        return _of_ogg(head, tail)
    return 0, 0


def _of_wav(head: bytes, size_bytes: int) -> tuple[int, int]:
    """By the bytes that there are: what a header says of them is left out where it was written before they were known."""
    at, hertz, frame_bytes = 12, 0, 0
    while True:
        name, size = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"data":
            return (size_bytes - at) // frame_bytes if frame_bytes else 0, hertz
        if name == b"fmt ":
            form, channels, hertz, _, _, bits = struct.unpack_from("<HHIIHH", head, at)
            if form == _EXTENSIBLE:
                (form,) = struct.unpack_from("<H", head, at + 24)
            # Of what is packed a block has more points than its bytes say.
            frame_bytes = channels * (bits // 8) if form in _ONE_BY_ONE else 0
        at += size + size % 2


def _of_flac(head: bytes) -> tuple[int, int]:
    """By STREAMINFO, which is the first block (RFC 9639, 8.2)."""
    if head[4] & 0x7F:
        return 0, 0
    (packed,) = struct.unpack_from(">Q", head, 18)
    return packed & (1 << 36) - 1, packed >> 44


def _of_ogg(head: bytes, tail: bytes) -> tuple[int, int]:
    """By where its last page ends. One in which several streams follow each other counts anew in each, so it does not say."""
    kind, serial = head[5], head[14:18]
    last = tail.rfind(b"OggS")
    if not kind & _BEGINS or last < 0 or tail[last + 14 : last + 18] != serial:
        return 0, 0
    (ends_at,) = struct.unpack_from("<q", tail, last + 6)
    # Whatever it was made of (RFC 7845, 4). Of Vorbis, usual writers get their places wrong.
    is_opus = head[_PAGE_BYTES + head[26] :].startswith(b"OpusHead")
    return (ends_at if is_opus else 0), _OPUS_HERTZ
