"""What a client's socket has received: a proxy between it and the api that passes bytes on and keeps the answers."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_PIECE_BYTES = 65_536
_LOOK_S = 0.01
# The api sends each event as one piece, whose line stands alone also where the body is chunked.
_EVENT = re.compile(rb"^data: (.*)$", re.MULTILINE)


class Answer:
    """The bytes of one connection that have come back to the client."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        """So much more."""
        with self._lock:
            self._data += data

    @property
    def events(self) -> list[Any]:
        """What the events say that have come whole; ``"[DONE]"`` for the last of a whole answer."""
        with self._lock:
            data = bytes(self._data)
        found = []
        for line in _EVENT.findall(data[: data.rfind(b"\n") + 1]):
            words = line.strip()
            found.append("[DONE]" if words == b"[DONE]" else json.loads(words))
        return found

    @property
    def texts(self) -> int:
        """How many of them brought some text: tokens, of servers that send each by itself."""
        return sum(bool(_text(each)) for each in self.events)

    @property
    def is_whole(self) -> bool:
        """Whether it says that it is."""
        return "[DONE]" in self.events

    def until_texts(self, count: int, limit_s: float) -> None:
        """Wait until so many tokens have come."""
        deadline = time.monotonic() + limit_s
        while self.texts < count:
            assert time.monotonic() < deadline, (
                f"not {count} tokens after {limit_s:g} s: {bytes(self._data)[-500:]!r}"
            )
            time.sleep(_LOOK_S)


def _text(event: Any) -> str:
    if event == "[DONE]" or not event.get("choices"):
        return ""
    choice = event["choices"][0]
    return str(choice.get("text") or (choice.get("delta") or {}).get("content") or "")


class RecordingProxy:
    """See the module.

    Attributes:
        port: where clients reach it.
        answers: of all connections, in their order.
    """

    def __init__(self, port_behind: int) -> None:
        self._behind = port_behind
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answers: list[Answer] = []

    @property
    def last(self) -> Answer:
        """Of the newest connection."""
        return self.answers[-1]

    def run(self) -> None:
        """Carry connections until it is closed."""
        while True:
            try:
                came, _ = self._listener.accept()
            except OSError:
                return
            answer = Answer()
            self.answers.append(answer)
            threading.Thread(target=self._carry, args=(came, answer), daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone would leave `accept` waiting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _carry(self, came: socket.socket, answer: Answer) -> None:
        with came:
            try:
                there = socket.create_connection(("127.0.0.1", self._behind))
            except OSError:
                return
            with there:
                back = threading.Thread(target=_back, args=(there, came, answer), daemon=True)
                back.start()
                with suppress(OSError):
                    while data := came.recv(_PIECE_BYTES):
                        there.sendall(data)
                with suppress(OSError):
                    there.shutdown(socket.SHUT_RDWR)
                back.join()


def _back(there: socket.socket, came: socket.socket, answer: Answer) -> None:
    with suppress(OSError):
        while data := there.recv(_PIECE_BYTES):
            answer.add(data)
            came.sendall(data)
    # Whatever broke, the client sees it.
    with suppress(OSError):
        came.shutdown(socket.SHUT_RDWR)


@contextmanager
def recording_proxy(port_behind: int) -> Iterator[RecordingProxy]:
    """A proxy to this port of this machine, for the length of the block."""
    proxy = RecordingProxy(port_behind)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
