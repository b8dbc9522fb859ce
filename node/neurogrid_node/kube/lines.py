"""Lines of bytes that come in pieces, in bounded memory; and those of a log as records. Pure."""

from collections.abc import Iterable, Iterator
from typing import Final

from neurogrid_node.container.log_cursor import STDOUT

# As Docker's engine cuts long lines.
_PIECE_BYTES: Final = 16 * 1024
# Between a time and its line; RFC 3339 with nanoseconds and an offset has 35 characters.
_TIME_BYTES_MAX: Final = 40
_CONTINUATION: Final = 0b1000_0000
LOG_LINE_BYTES_MAX: Final = 64 * 1024


class Lines:
    """Cuts what it is fed behind each newline, and between characters after ``line_bytes_max`` bytes without one."""

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._pending = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        self._pending += piece
        at = 0
        while True:
            newline = self._pending.find(b"\n", at, at + self._line_bytes_max)
            end = newline + 1 if newline >= 0 else at + self._line_bytes_max
            if newline < 0:
                # The first byte behind it tells whether a character goes on there.
                if len(self._pending) <= end:
                    break
                end = max(at + 1, _between_characters(self._pending, end))
            yield bytes(self._pending[at:end])
            at = end
        del self._pending[:at]

    def end(self) -> Iterator[bytes]:
        """What is left without a newline."""
        if self._pending:
            yield bytes(self._pending)
            self._pending.clear()


def log_records(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of a log that was asked for with times, as `LogPasses` reads them: each with its time in
    front, long lines in pieces that are the same in every pass.

    An API server merges both outputs, so all are told as standard output. What lacks a newline goes on in
    the next line, whose beginning is then no time (kubelet, pkg/kubelet/kuberuntime/logs).
    """
    time = b""
    is_continued = False
    for line in lines:
        text = line
        if not is_continued:
            found, _, rest = line.partition(b" ")
            time, text = (found, rest) if 0 < len(found) <= _TIME_BYTES_MAX else (b"", line)
        is_continued = not line.endswith(b"\n")
        for piece in _pieces(text):
            yield STDOUT, time + b" " + piece if time else piece


def _pieces(text: bytes) -> Iterator[bytes]:
    """Of a long text, cut between characters."""
    at = 0
    while len(text) - at > _PIECE_BYTES:
        end = _between_characters(text, at + _PIECE_BYTES)
        yield text[at:end]
        at = end
    if at < len(text):
        yield text[at:]


def _between_characters(text: bytes | bytearray, at: int) -> int:
    """The last place up to this one that is in no character; this one in what is not UTF-8."""
    # A character has at most three bytes behind its first.
    for place in range(at, at - 4, -1):
        if text[place] & 0b1100_0000 != _CONTINUATION:
            return place
    return at
