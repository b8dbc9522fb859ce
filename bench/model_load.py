"""One client of a model's server: a streamed chat, timed piece by piece; over any connection, so that what is measured beside each other is asked alike."""

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Protocol

import trio

_PIECE_BYTES = 64 * 1024
_ANSWER_LIMIT_S = 120.0
_EVENT = b"data: "
_DONE = b"[DONE]"


class Wire(Protocol):
    """A connection, as bytes."""

    async def send_all(self, data: bytes) -> None:
        """Give it all of this."""

    async def receive_some(self, max_bytes: int) -> bytes:
        """What comes next; b"" at its end."""

    async def aclose(self) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who is asked.

    Attributes:
        connect: a new connection.
        path, key: of chats, and what opens it.
        pids: of the processes between the client and the container.
    """

    name: str
    connect: Callable[[], Awaitable[Wire]]
    path: str
    key: str
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer.

    Attributes:
        first_ms: from the request's first byte to the first event with text.
        tokens: events with text.
        last: its last event but one, as JSON: where ours says what it cost.
    """

    first_ms: float
    tokens: int
    last: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """What several clients got, each some answers one after the other.

    Attributes:
        per_s: tokens, of all clients together.
    """

    answers: tuple[Answered, ...]
    per_s: float

    @property
    def tokens(self) -> int:
        """Of all answers."""
        return sum(each.tokens for each in self.answers)


def _chat(side: Side, model: str, tokens: int) -> bytes:
    """A streamed chat as it goes over the wire; its connection ends with its answer."""
    body = json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": "To be, or not to be?"}],
            "max_tokens": tokens,
            "temperature": 0.8,
            "seed": 7,
            "stream": True,
        }
    ).encode()
    head = (
        f"POST {side.path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {side.key}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(side: Side, model: str, tokens: int) -> Answered:
    """One request, on a connection of its own that is open before the clock runs.

    Raises:
        RuntimeError: the answer is no stream with a last event.
    """
    request = _chat(side, model, tokens)
    wire = await side.connect()
    try:
        with trio.fail_after(_ANSWER_LIMIT_S):
            began_s = time.perf_counter()
            await wire.send_all(request)
            first_s, written, is_done, left, data = 0.0, 0, False, b"", b""
            event: dict[str, Any] = {}
            while data := await wire.receive_some(_PIECE_BYTES):
                *lines, left = (left + data).split(b"\n")
                for line in lines:
                    if not line.startswith(_EVENT):
                        continue
                    if _DONE in line:
                        is_done = True
                        continue
                    event = json.loads(line[len(_EVENT) :])
                    if _has_text(event):
                        first_s = first_s or time.perf_counter()
                        written += 1
                if is_done:
                    break
    finally:
        await wire.aclose()
    if not is_done or not written:
        raise RuntimeError(f"{side.name} gave no whole answer: {(data or left)[:2000]!r}")
    return Answered((first_s - began_s) * 1000, written, event)


async def load(side: Side, model: str, tokens: int, clients: int, each: int) -> Load:
    """Some clients at once."""
    answers: list[Answered] = []

    async def client() -> None:
        for _ in range(each):
            answers.append(await ask(side, model, tokens))

    began_s = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(client)
    took_s = time.perf_counter() - began_s
    return Load(tuple(answers), sum(one.tokens for one in answers) / took_s)


def p50_p95(answers: list[Answered]) -> tuple[float, float]:
    """Of the times to the first token, ms."""
    times = [one.first_ms for one in answers]
    return median(times), quantiles(times, n=20)[-1]


def _has_text(event: dict[str, Any]) -> bool:
    return any(choice.get("delta", {}).get("content") for choice in event.get("choices", ()))
