"""A stream into a running job: the frames that coordinator and node exchange on it.

The coordinator opens it on the connection of the node's control stream, for a client who owns the task. Each
frame is a byte for its kind, four for the length of its payload (big endian), and the payload:

| coordinator to node | node to coordinator |
|---|---|
| open: a command; open_port: a connection; once and first | opened, or refused and the end |
| input: bytes for the program | output, errors: bytes of the program |
| end_of_input | |
| resize, signal: of a terminal, of a program | |
| credit: so many bytes of output and errors were taken | credit: so many bytes of input were |
| | exited: the last |

Bytes travel by credit, so that whoever takes none holds up the program and nothing else: every other
frame still arrives. A stream that ends without the last frame is a client, or a node, that is gone.

Leases for use are asked on streams of their own protocol, which stay: open_port begins an exchange and is followed at once by its
input, exited (or refused) ends it, and then the next may begin, of any lease of the node.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta

from .canonical import canonical_bytes
from .errors import InvalidValue, MalformedMessage
from .fields import Argument, Id, Text, decode, plain

JOB_STREAM_PROTOCOL_ID: Final = "/neurogrid/job/1"
# Exchanges with replicas, one after the other.
USE_STREAM_PROTOCOL_ID: Final = "/neurogrid/use/1"
# What a node says in `Offer.access` that lets commands into jobs that ask for it.
EXEC: Final = "exec"

# Bytes of one direction on their way, until the other side says that it took some. Half a Yamux window:
# neither side's writes ever wait for the other to read.
WINDOW_BYTES: Final = 128 * 1024
MAX_PAYLOAD_BYTES: Final = 64 * 1024
# A command beside what else a frame holds.
MAX_COMMAND_BYTES: Final = 32 * 1024
# Larger than any screen; the kernel's own number has 16 bits.
MAX_CELLS: Final = 4096
# Credit is given back in pieces of at least this: a frame for each small piece of an answer would cost as much as the piece.
# Whoever sends always has all of the window but this.
_CREDIT_STEP_BYTES: Final = 16 * 1024
_HEADER: Final = struct.Struct(">BI")

T = TypeVar("T")
Cells = Annotated[int, Meta(ge=1, le=MAX_CELLS)]
TerminalKind = Annotated[str, Meta(pattern=r"^([A-Za-z0-9][A-Za-z0-9._+-]{0,63})?\Z")]


class FrameKind(IntEnum):
    """The first byte of a frame."""

    OPEN = 1
    OPENED = 2
    REFUSED = 3
    INPUT = 4
    END_OF_INPUT = 5
    OUTPUT = 6
    ERRORS = 7
    RESIZE = 8
    SIGNAL = 9
    CREDIT = 10
    EXITED = 11
    OPEN_PORT = 12


class StreamRefusal(StrEnum):
    """Why a stream into a job is not opened; `REFUSALS` says what each means."""

    NO_LEASE = "no_lease"
    NOT_RUNNING = "not_running"
    NOT_INTERACTIVE = "not_interactive"
    NO_SERVICE = "no_service"
    NOT_LISTENING = "not_listening"
    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    NOT_READY = "not_ready"
    NODE_AWAY = "node_away"
    PER_USE = "per_use"
    UNPAID = "unpaid"
    USED_UP = "used_up"


REFUSALS: Final[dict[StreamRefusal, str]] = {
    StreamRefusal.NO_LEASE: "the node has no such lease of this coordinator",
    StreamRefusal.NOT_RUNNING: "the job does not run, or is paused until it is paid",
    StreamRefusal.NOT_INTERACTIVE: "the job was submitted without asking for it",
    StreamRefusal.NO_SERVICE: "the job was submitted without a port",
    StreamRefusal.NOT_LISTENING: "nothing listens at the job's port",
    StreamRefusal.NOT_ALLOWED: "the node's owner lets nobody into jobs",
    StreamRefusal.TOO_MANY: "as many streams are open as this lease, or this node, may have",
    StreamRefusal.NOT_READY: "the node's container engine does not answer, or refused",
    StreamRefusal.NODE_AWAY: "the node is not connected to the coordinator now",
    StreamRefusal.PER_USE: "the job serves a model for units: it is reached by leases for its use alone",
    StreamRefusal.UNPAID: "what the lease has served is too far ahead of its vouchers",
    StreamRefusal.USED_UP: "what the lease has served comes to all that its escrow holds",
}


class SignalName(StrEnum):
    """What a program may be sent."""

    HUP = "HUP"
    INT = "INT"
    QUIT = "QUIT"
    KILL = "KILL"
    USR1 = "USR1"
    USR2 = "USR2"
    TERM = "TERM"


@dataclass(frozen=True, slots=True)
class Open:
    """A command is to run beside the job, in its container.

    Attributes:
        command: a program and its arguments.
        tty: whether it gets a terminal; its output and errors are then one.
        columns, rows: of the terminal.
        term: the terminal's kind, for TERM; "" for none.
    """

    lease_id: Id
    command: Annotated[tuple[Argument, ...], Meta(min_length=1, max_length=256)]
    tty: bool = False
    columns: Cells = 80
    rows: Cells = 24
    term: TerminalKind = ""

    def __post_init__(self) -> None:
        if not self.command or not self.command[0] or any("\0" in item for item in self.command):
            raise InvalidValue("a command has a program's name, and no NUL byte")
        size = sum(len(item.encode("utf-8", "surrogatepass")) for item in self.command)
        if size > MAX_COMMAND_BYTES:
            raise InvalidValue(f"a command has {size} bytes; at most {MAX_COMMAND_BYTES} may be")


@dataclass(frozen=True, slots=True)
class OpenPort:
    """A connection to the job's port is wanted (`Job.service`)."""

    lease_id: Id


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not opened."""

    code: StreamRefusal
    message: Text = ""


@dataclass(frozen=True, slots=True)
class Resize:
    """The terminal has another size."""

    columns: Cells
    rows: Cells


@dataclass(frozen=True, slots=True)
class Signal:
    """The program gets a signal."""

    name: SignalName


@dataclass(frozen=True, slots=True)
class Credit:
    """So many more bytes may come."""

    count: Annotated[int, Meta(ge=1, le=WINDOW_BYTES)]


class ExitReason(StrEnum):
    """Why a program has ended."""

    EXITED = "exited"
    IDLE = "idle"
    """Nothing was said, and it said nothing, for as long as the node's owner lets that last."""
    LOST = "lost"
    """It is not known: the container engine went away."""
    USED_UP = "used_up"
    """Of one request under a lease for use: the rest of the answer is more than the lease's escrow can pay."""


@dataclass(frozen=True, slots=True)
class Exited:
    """The program has ended.

    Attributes:
        exit_code: 128 and the signal's number where one ended it; -1 where it is not known.
    """

    exit_code: Annotated[int, Meta(ge=-1, le=255)]
    reason: ExitReason = ExitReason.EXITED


_NUMBERS: Final = frozenset(FrameKind)
Words = Open | OpenPort | Refused | Resize | Signal | Credit | Exited
_KINDS: Final[dict[type[Words], FrameKind]] = {
    Open: FrameKind.OPEN,
    OpenPort: FrameKind.OPEN_PORT,
    Refused: FrameKind.REFUSED,
    Resize: FrameKind.RESIZE,
    Signal: FrameKind.SIGNAL,
    Credit: FrameKind.CREDIT,
    Exited: FrameKind.EXITED,
}


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """One frame as it arrived."""

    kind: FrameKind
    payload: bytes = b""

    def words(self, kind: type[T]) -> T:
        """Its payload, read as this kind.

        Raises:
            MalformedMessage: it is none.
        """
        try:
            value = msgspec.json.decode(self.payload)
        except (msgspec.DecodeError, RecursionError) as error:
            raise MalformedMessage(f"no JSON: {error}") from error
        return decode(kind, value)


def write_words(words: Words) -> bytes:
    """A frame that says something."""
    return write_bytes(_KINDS[type(words)], canonical_bytes(plain(words)))


def write_bytes(kind: FrameKind, payload: bytes = b"") -> bytes:
    """A frame that carries bytes, or nothing."""
    assert len(payload) <= MAX_PAYLOAD_BYTES, "whoever sends cuts"
    return _HEADER.pack(kind, len(payload)) + payload


class FrameReader:
    """Frames of the bytes of one direction; holds at most one that is not complete."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[StreamFrame]:
        """The frames that are complete now.

        Raises:
            MalformedMessage: no frame looks like this; nothing after it can be understood.
        """
        self._data += data
        while len(self._data) >= _HEADER.size:
            number, length = _HEADER.unpack_from(self._data)
            if length > MAX_PAYLOAD_BYTES:
                raise MalformedMessage(f"a frame of {length} bytes; at most {MAX_PAYLOAD_BYTES}")
            if number not in _NUMBERS:
                raise MalformedMessage(f"no frame is of kind {number}")
            end = _HEADER.size + length
            if len(self._data) < end:
                return
            payload = bytes(self._data[_HEADER.size : end])
            del self._data[:end]
            yield StreamFrame(FrameKind(number), payload)


class Outgoing:
    """How many bytes may be sent. Pure: whoever waits for more does that elsewhere."""

    def __init__(self) -> None:
        self.left_bytes = WINDOW_BYTES

    def sent(self, count: int) -> None:
        """So many were."""
        assert count <= self.left_bytes, "whoever sends looks first"
        self.left_bytes -= count

    def granted(self, credit: Credit) -> None:
        """The other side took some.

        Raises:
            MalformedMessage: more than was sent.
        """
        if self.left_bytes + credit.count > WINDOW_BYTES:
            raise MalformedMessage("credit for more than was sent")
        self.left_bytes += credit.count


class Incoming:
    """How many bytes the other side may send, and what of that has to be given back."""

    def __init__(self) -> None:
        self._left_bytes = WINDOW_BYTES
        self._owed_bytes = 0

    def received(self, count: int) -> None:
        """So many came.

        Raises:
            MalformedMessage: they may not have.
        """
        if count > self._left_bytes:
            raise MalformedMessage("more bytes than there was credit for")
        self._left_bytes -= count

    def taken(self, count: int) -> Credit | None:
        """So many of them are dealt with; the credit to give for it now, if any."""
        self._owed_bytes += count
        if self._owed_bytes < _CREDIT_STEP_BYTES:
            return None
        credit = Credit(self._owed_bytes)
        self._left_bytes += self._owed_bytes
        self._owed_bytes = 0
        return credit
