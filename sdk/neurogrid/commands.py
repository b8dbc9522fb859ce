"""A command beside a running job, or a connection to its port: what goes in, and what comes, as it comes.

Both are a WebSocket; docs/exec.md and docs/services.md have what travels on it. One thread reads, any may write.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Literal, Self

import msgspec
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidStatus,
    InvalidURI,
)
from websockets.sync.client import ClientConnection, connect

from neurogrid_marketplace.errors import MalformedMessage
from neurogrid_marketplace.job_stream import WINDOW_BYTES, Credit, Incoming, Outgoing

from .answers import refused
from .errors import CommandLost, ConnectionFailed, api_error
from .models import CommandOutput

# Address and headers of a WebSocket.
Place = tuple[str, dict[str, str]]
SignalName = Literal["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM"]
_PIECE_BYTES = 32 * 1024
# Beyond what credit lets come, only bugs and hostile coordinators send more.
_MESSAGE_BYTES_MAX = 2 * WINDOW_BYTES
_OUTPUT = {1: "stdout", 2: "stderr"}


class _Error(msgspec.Struct):
    code: str = ""
    message: str = ""
    details: dict[str, Any] = {}


class _Said(msgspec.Struct):
    type: str
    bytes: int = 0
    exit_code: int = -1
    reason: str = ""
    status: int = 0
    error: _Error = msgspec.field(default_factory=_Error)


class Command:
    """A command that runs (`Tasks.open_exec`), or an open connection (`Tasks.open_port`); closing it ends it.

    Attributes:
        exit_code: None while it runs.
        reason: why it ended; "" while it runs.
    """

    def __init__(self, socket: ClientConnection, closing: ExitStack) -> None:
        self.exit_code: int | None = None
        self.reason = ""
        self._socket = socket
        self._closing = closing
        self._outgoing = Outgoing()
        self._incoming = Incoming()
        self._changed = threading.Condition()
        self._started = False
        self._ended = False
        self._unpaid_bytes = 0

    def begin(self, **wanted: object) -> None:
        """Say what is wanted, and wait until it runs.

        Raises:
            CommandLost, ApiError: it does not.
        """
        self._say(**wanted)
        while not self._started:
            message = self._receive()
            if isinstance(message, str):
                self._take(msgspec.json.decode(message, type=_Said))

    def read(self) -> CommandOutput | None:
        """What it says next; None when it has ended. Until you read it, it stops.

        Raises:
            CommandLost: the connection broke, here or behind the coordinator.
            ApiError: the coordinator says why it ended it.
        """
        if self._unpaid_bytes:
            credit = self._incoming.taken(self._unpaid_bytes)
            self._unpaid_bytes = 0
            if credit is not None:
                self._say(type="credit", bytes=credit.count)
        while not self._ended:
            message = self._receive()
            try:
                if isinstance(message, str):
                    self._take(msgspec.json.decode(message, type=_Said))
                elif message[:1] and message[0] in _OUTPUT:
                    self._incoming.received(len(message) - 1)
                    self._unpaid_bytes = len(message) - 1
                    stream: Any = _OUTPUT[message[0]]
                    return CommandOutput(stream, message[1:])
            except (MalformedMessage, msgspec.DecodeError) as error:
                self._end()
                raise CommandLost(f"the coordinator broke the protocol: {error}") from error
        return None

    def __iter__(self) -> Iterator[CommandOutput]:
        """All that it says from here on."""
        while (piece := self.read()) is not None:
            yield piece

    def write(self, data: bytes) -> None:
        """Give it input; waits while it takes none. One that has ended takes all.

        Another thread has to read meanwhile.
        """
        left = memoryview(data)
        while left:
            with self._changed:
                while not self._outgoing.left_bytes and not self._ended:
                    self._changed.wait()
                if self._ended:
                    return
                part = left[: min(self._outgoing.left_bytes, _PIECE_BYTES)]
                self._outgoing.sent(len(part))
            self._send(bytes(part))
            left = left[len(part) :]

    def end_input(self) -> None:
        """There will be no more of it."""
        self._say(type="end_of_input")

    def resize(self, columns: int, rows: int) -> None:
        """Its terminal has another size."""
        self._say(type="resize", columns=columns, rows=rows)

    def signal(self, name: SignalName) -> None:
        """Send it a signal."""
        self._say(type="signal", name=name)

    def close(self) -> None:
        """End it, if it runs."""
        self._end()
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take(self, said: _Said) -> None:
        match said.type:
            case "started":
                self._started = True
            case "credit":
                with self._changed:
                    self._outgoing.granted(Credit(said.bytes))
                    self._changed.notify_all()
            case "exited":
                self.exit_code, self.reason = said.exit_code, said.reason
                self._end()
            case "error":
                self._end()
                self.reason = "error"
                if self._started and said.status >= 500:
                    raise CommandLost(said.error.message)
                raise api_error(
                    status=said.status,
                    code=said.error.code,
                    message=said.error.message,
                    details=said.error.details,
                )

    def _receive(self) -> str | bytes:
        try:
            return self._socket.recv()
        except (ConnectionClosed, OSError) as error:
            self._end()
            raise CommandLost(f"the connection broke: {error}") from error

    def _say(self, **words: object) -> None:
        self._send(msgspec.json.encode(words).decode())

    def _send(self, message: str | bytes) -> None:
        try:
            self._socket.send(message)
        except (ConnectionClosed, OSError):
            return  # whoever reads hears of it, and of how the command ended

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def open_command(
    place: Place,
    task_id: str,
    command: Sequence[str],
    *,
    tty: bool,
    columns: int,
    rows: int,
    term: str,
) -> Command:
    """Start a command beside a task's job.

    Args:
        place: of the task's ``/exec``.

    Raises:
        ApiError: it is refused.
        ConnectionFailed: the coordinator can't be reached, or what is there speaks no WebSocket.
    """
    return open_stream(
        place,
        task_id,
        command=list(command),
        tty=tty,
        columns=columns,
        rows=rows,
        term=term,
    )


def open_port(place: Place, task_id: str) -> Command:
    """Connect to the port of a task's job.

    Args:
        place: of the task's ``/port``.

    Raises:
        As `open_command`.
    """
    return open_stream(place, task_id)


def open_stream(place: Place, task_id: str, **wanted: object) -> Command:
    """A stream into a task's job.

    Args:
        wanted: what the first message says.

    Raises:
        As `open_command`.
    """
    url, headers = place
    closing = ExitStack()
    try:
        socket = closing.enter_context(
            connect(
                url,
                additional_headers=headers,
                user_agent_header=None,
                max_size=_MESSAGE_BYTES_MAX,
                # What waits here is bounded by credit; and pings are answered however long it waits.
                max_queue=None,
            )
        )
        running = Command(socket, closing)
        running.begin(**wanted, credit=True)
    except InvalidStatus as error:
        closing.close()
        answer = error.response
        raise refused(answer.status_code, bytes(answer.body or b""), task_id) from error
    except (InvalidHandshake, InvalidURI, OSError) as error:
        closing.close()
        raise ConnectionFailed(f"{url} can't be reached: {error}") from error
    except BaseException:
        closing.close()
        raise
    return running
