"""Spans of a trace that may have begun elsewhere, and goes on elsewhere: W3C trace context. Off, it costs a call.

Here it goes nowhere; `exported_traces` sends it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

# As W3C's Trace Context writes it, of any version: later ones may only add to its end.
_HEADER = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """`[traces]` of node.toml and of coordinator.toml.

    Attributes:
        endpoint: where spans are sent (OTLP over HTTP), with its path; "": nowhere.
    """

    endpoint: Annotated[str, Meta(pattern=r"^(https?://[^\s\x00-\x1f]{1,500})?\Z")] = ""


def read_traceparent(header: str) -> str:
    """A ``traceparent`` header in the form of version 00; "" where it is none.

    Source: W3C Trace Context, 3.2. Of its flags, only whether it is sampled is handed on.
    """
    found = _HEADER.fullmatch(header.strip()) if header else None
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return ""
    return f"00-{found[1]}-{found[2]}-0{int(found[3], 16) & 1}"


class Span:
    """Something that has begun.

    Attributes:
        traceparent: what its children belong to.
    """

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def note(self, **attributes: str | int) -> None:
        """Add what has come out."""

    def end(self, ended_ms: int | None = None, **attributes: str | int) -> None:
        """It is over, now or at a Unix time; one that never ends is not seen."""


class Traces:
    """Where spans go. This one sends nothing, and hands on what it gets."""

    def begin(
        self, name: str, parent: str = "", began_ms: int | None = None, **attributes: str | int
    ) -> Span:
        """A span that begins now, or at a Unix time.

        Args:
            parent: a traceparent, or "" for a trace of its own.
        """
        return Span(parent)

    @contextmanager
    def within(self, name: str, parent: str = "", **attributes: str | int) -> Iterator[Span]:
        """A span for the length of the block; what it raises stands in ``error``."""
        span = self.begin(name, parent, None, **attributes)
        try:
            yield span
        except BaseException as error:
            span.end(error=type(error).__name__)
            raise
        span.end()

    def close(self) -> None:
        """Send what waits, for two seconds at most."""


OFF: Final = Traces()
