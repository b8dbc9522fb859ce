"""A submission among a connection's bytes: one whole request, and nothing else. Pure.

What is anything else is no mistake: the api's process reads it, as it reads all other requests.
"""

from dataclasses import dataclass

import httptools

from ..api.paths import API
from ..server.http_connections import HEAD_BYTES_MAX, SUBMISSION
from .frames import REQUEST_BYTES_MAX, Headers

TARGET = f"{API}/tasks".encode()
# Who sends one of these wants more than an answer, or sends something else than a body.
_BY_THE_API = frozenset((b"expect", b"transfer-encoding", b"upgrade", b"content-encoding"))


@dataclass(frozen=True, slots=True)
class Request:
    """A submission as it came; ``headers`` with small letters."""

    headers: Headers
    body: bytes


class _Reading:
    """What the parser finds."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: Headers = []
        self.body: list[bytes] = []
        self.begun = 0
        self.complete = 0
        # The parser knows both until the message is complete.
        self.goes_on = False
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.goes_on = self._parser.get_http_version() == "1.1" and self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.complete += 1


def read_submission(data: bytes) -> Request | None:
    """The submission that these bytes are; None: they are something else, more, or less."""
    if not data.startswith(SUBMISSION) or len(data) > REQUEST_BYTES_MAX:
        return None
    reading = _Reading()
    try:
        reading.feed(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    body = b"".join(reading.body)
    is_whole = reading.begun == reading.complete == 1 and bool(body)
    # One that is longer is refused, and who refuses is the api.
    is_short = len(data) - len(body) <= HEAD_BYTES_MAX
    is_usual = (
        reading.target == TARGET
        and reading.goes_on
        and not any(name in _BY_THE_API for name, _ in reading.headers)
    )
    return Request(reading.headers, body) if is_whole and is_short and is_usual else None
