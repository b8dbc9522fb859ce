"""How far a task's log is sent: in order, as far as the coordinator grants, again from what it has stored. Pure."""

from dataclasses import dataclass

PIECE_BYTES = 24 * 1024
# Without an acknowledgement for so long, what is not acknowledged is sent again.
RESEND_MS = 3_000


@dataclass(slots=True)
class LogSending:
    """Of one lease, on one stream after the other.

    Attributes:
        limit_bytes: how far the coordinator takes it on this stream; 0 until it has said so.
    """

    sent_bytes: int = 0
    stored_bytes: int = 0
    limit_bytes: int = 0
    moved_at_ms: int = 0

    def opened(self, now_ms: int) -> None:
        """There is a new stream: nothing is granted on it yet, and what was sent may be lost."""
        self.limit_bytes, self.sent_bytes, self.moved_at_ms = 0, self.stored_bytes, now_ms

    def acknowledged(self, stored_bytes: int, limit_bytes: int, now_ms: int) -> None:
        """So much is stored, and so much may be sent."""
        if stored_bytes > self.stored_bytes:
            self.stored_bytes, self.moved_at_ms = stored_bytes, now_ms
        self.sent_bytes = max(self.sent_bytes, self.stored_bytes)
        self.limit_bytes = max(self.limit_bytes, limit_bytes)

    def next_piece(self, log_bytes: int, now_ms: int) -> tuple[int, int] | None:
        """Offset and greatest length of what is to be sent now."""
        if self.sent_bytes > self.stored_bytes and now_ms - self.moved_at_ms > RESEND_MS:
            self.sent_bytes, self.moved_at_ms = self.stored_bytes, now_ms
        size = min(log_bytes, self.limit_bytes) - self.sent_bytes
        return (self.sent_bytes, min(size, PIECE_BYTES)) if size > 0 else None

    def sent(self, size_bytes: int, now_ms: int) -> None:
        """So much more was."""
        if self.sent_bytes == self.stored_bytes:
            self.moved_at_ms = now_ms
        self.sent_bytes += size_bytes
