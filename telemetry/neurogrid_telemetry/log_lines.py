"""A log record as one line: for people, or as JSON.

Messages hold what peers and containers have said, so nothing in them may end the line, and none is longer than
it may be.
"""

import json
import logging
import time
from typing import Any

from .about import subject

MESSAGE_CHARS_MAX = 4096
# Enough for the frames at both ends of a deep traceback.
TRACEBACK_CHARS_MAX = 16_384


def named(name: str, **values: str | int) -> dict[str, Any]:
    """For a record's ``extra``: its event's name, and what belongs to it."""
    return {"event": str(name), "values": values}


class TextLines(logging.Formatter):
    """``TIME LEVEL LOGGER: MESSAGE [key=value ...]``; a traceback follows, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        message = _message(record)
        named = {key: value for key, value in subject().items() if value not in message}
        left_out = _left_out(record)
        if left_out:
            named["left_out"] = str(left_out)
        tail = " ".join(f"{key}={_shown(value)}" for key, value in named.items())
        head = f"{self.formatTime(record)} {record.levelname:<7} {record.name}: {message}"
        line = f"{head} [{tail}]" if tail else head
        # Indented, no line of it can pass for a record.
        return line + "".join(f"\n    {_shown(each)}" for each in _traceback(record).splitlines())


class JsonLines(logging.Formatter):
    """One object: time, level, logger, message, and what else is known. docs/telemetry.md has the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """See the class."""
        whole_s = int(record.created)
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s))
        line: dict[str, str | int] = {
            "time": f"{at}.{int((record.created - whole_s) * 1000):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        name = getattr(record, "event", "")
        if name:
            line["event"] = name
        line["message"] = _message(record)
        line |= subject()
        line |= getattr(record, "values", {})
        left_out = _left_out(record)
        if left_out:
            line["left_out"] = left_out
        traceback = _traceback(record)
        if traceback:
            line["traceback"] = traceback
        return json.dumps(line)


def _message(record: logging.LogRecord) -> str:
    return _cut(_shown(record.getMessage()), MESSAGE_CHARS_MAX)


def _traceback(record: logging.LogRecord) -> str:
    text = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    return _cut(text, TRACEBACK_CHARS_MAX)


def _left_out(record: logging.LogRecord) -> int:
    return int(getattr(record, "left_out", 0))


def _shown(text: str) -> str:
    """With everything that moves a cursor, or ends a line, written out."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _cut(text: str, chars_max: int) -> str:
    if len(text) <= chars_max:
        return text
    half = chars_max // 2
    return f"{text[:half]} ... {len(text) - 2 * half} characters ... {text[-half:]}"
