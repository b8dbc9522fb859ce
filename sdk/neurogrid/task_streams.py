# Made from aio/task_streams.py by scripts/unasync.py: change that one, and run it.
"""A task's events and log as they come, resumed after the last piece that arrived."""

from collections.abc import Generator
from contextlib import closing

import httpx
import msgspec

from .models import LogPage, TaskUpdate
from .sse import read_events
from .transport import STREAM_SILENCE_S, Transport

# The server returns at most this much of a log in one answer (document in its OpenAPI page).
_LOG_PAGE_BYTES = 1024 * 1024


class _LogPiece(msgspec.Struct):
    text: str


def updates(transport: Transport, task_id: str) -> Generator[TaskUpdate]:
    """Every event of a task from its beginning, as they come, until it has ended."""
    last: str | None = None

    def attempt() -> Generator[TaskUpdate]:
        nonlocal last
        headers = {"Last-Event-ID": last} if last is not None else {}
        with transport.stream(
            f"/tasks/{task_id}/events",
            headers=headers,
            task_id=task_id,
            silence_s=STREAM_SILENCE_S,
        ) as response:
            # Held until the connection is closed, which closes what httpx has below them.
            arriving = response.iter_lines()
            with closing(read_events(arriving)) as events:
                for event in events:
                    if event.event == "end":
                        return
                    last = event.id
                    # The coordinator does not know what came last; all of it comes again.
                    if event.event == "reset":
                        continue
                    yield msgspec.json.decode(event.data, type=TaskUpdate)
        raise _stream_cut()

    return transport.resume(attempt)


def followed_log(transport: Transport, task_id: str, lines: int) -> Generator[str]:
    """A job's log from so many lines before its end on, until the job has ended and all of it was sent."""
    last: str | None = None

    def attempt() -> Generator[str]:
        nonlocal last
        with transport.stream(
            f"/tasks/{task_id}/logs",
            params={"follow": "true", "lines": lines},
            headers={"Last-Event-ID": last} if last is not None else {},
            task_id=task_id,
            silence_s=STREAM_SILENCE_S,
        ) as response:
            # Held until the connection is closed, which closes what httpx has below them.
            arriving = response.iter_lines()
            with closing(read_events(arriving)) as events:
                for event in events:
                    if event.event == "end":
                        return
                    text = msgspec.json.decode(event.data, type=_LogPiece).text
                    last = event.id
                    if text:
                        yield text
        raise _stream_cut()

    return transport.resume(attempt)


def stored_log(transport: Transport, task_id: str) -> Generator[str]:
    """The whole log that is stored now, from its beginning, piece by piece."""
    offset = 0
    while True:
        page = transport.call(
            LogPage,
            "GET",
            f"/tasks/{task_id}/logs",
            params={"offset": offset, "limit": _LOG_PAGE_BYTES},
            task_id=task_id,
        )
        if page.text:
            yield page.text
        if page.next_offset in (offset, page.total_bytes):
            return
        offset = page.next_offset


def _stream_cut() -> Exception:
    # A stream that ends without its "end" event was cut off, e.g. by a coordinator that restarts.
    return httpx.RemoteProtocolError("the stream ended early")
