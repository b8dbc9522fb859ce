"""The vectors of streams into jobs: frames, and what is none."""

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.job_stream import (
    MAX_PAYLOAD_BYTES,
    REFUSALS,
    WINDOW_BYTES,
    Credit,
    Exited,
    ExitReason,
    FrameKind,
    FrameReader,
    Open,
    OpenPort,
    Refused,
    Resize,
    Signal,
    SignalName,
    StreamRefusal,
    Words,
    write_bytes,
    write_words,
)

_LEASE = "lease_" + "5" * 32
_WORDS: tuple[Words, ...] = (
    Open(_LEASE, ("sh", "-c", "echo ä"), True, 100, 30, "xterm-256color"),
    Open(_LEASE, ("true",)),
    OpenPort(_LEASE),
    *(Refused(code, meaning) for code, meaning in REFUSALS.items()),
    Resize(4096, 1),
    *(Signal(name) for name in SignalName),
    Credit(WINDOW_BYTES),
    *(Exited(code, reason) for code, reason in zip((0, 255, -1, -1), ExitReason, strict=True)),
)
_BYTES = (
    (FrameKind.OPENED, b""),
    (FrameKind.INPUT, b"in\0"),
    (FrameKind.END_OF_INPUT, b""),
    (FrameKind.OUTPUT, b"out"),
    (FrameKind.ERRORS, b"\xff"),
)
_NO_FRAMES = (bytes(5), b"\x0d" + bytes(4), b"\x04" + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "big"))


def job_stream() -> Json:
    """One of each, as bytes and as what they say."""
    assert set(StreamRefusal) == set(REFUSALS), "each has its meaning"
    for data in _NO_FRAMES:
        try:
            list(FrameReader().feed(data))
        except MalformedMessage:
            continue
        raise AssertionError(f"{data!r} is a frame")
    return {
        "words": [
            {
                "kind": _kind(frame := write_words(words)),
                "words": plain(words),
                "frame_hex": frame.hex(),
            }
            for words in _WORDS
        ],
        "bytes": [
            {
                "kind": kind.name,
                "payload_hex": payload.hex(),
                "frame_hex": write_bytes(kind, payload).hex(),
            }
            for kind, payload in _BYTES
        ],
        "no_frames_hex": [data.hex() for data in _NO_FRAMES],
    }


def _kind(frame: bytes) -> str:
    (read,) = FrameReader().feed(frame)
    return read.kind.name
