"""Mailboxes: nodes that speak the market's protocol by HTTPS requests instead of over libp2p.

What such a node says is put into its mailbox in envelopes that it has signed, and what is said to it is taken out. Nothing
of it is read here but numbers, and whose wallet a hello names: the market process hears the node as it hears any other
(`market.mailboxes`). A mailbox lives in memory; when it is over, its node opens another, as others connect again.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.envelope import parse_envelope
from neurogrid_marketplace.errors import InvalidValue, MalformedMessage
from neurogrid_marketplace.identity import public_key_of
from neurogrid_marketplace.wire import FrameDecoder, encode_frame

from ..market.errors import MarketAway
from ..store.accounts import Account
from ..store.database import Database
from ..store.ids import new_id
from .errors import Conflict, Forbidden, InvalidRequest, NotFound, Unavailable

# Of one account; and of all of them, as the market process has them.
MAILBOXES_PER_ACCOUNT = 16
MAILBOXES_MAX = 128
STREAMS_MAX = 33
# What waits to be taken: beyond that nothing more is read, and the market finds that its node reads nothing.
WAITING_BYTES_MAX = 256 * 1024
WAIT_S_MAX = 30
LETTERS_MAX = 64
ENVELOPES_MAX = 64
CONTROL = "control"

_READ_BYTES = 16 * 1024
# Until what was put in has left for the market process.
_WRITE_LIMIT_S = 5.0
# How long a mailbox that is over tells so, with what was not taken.
_OVER_S = 60.0

# A socket for a stream of this node: its mailbox, whether it is a lease's.
OpenStream = Callable[[str, str, bool], socket.socket]


@dataclass(frozen=True, slots=True)
class Letter:
    """Something said to a node.

    Attributes:
        number: counts the mailbox's letters, from 1.
        envelope: None where the stream is over.
    """

    number: int
    stream: str
    envelope: dict[str, object] | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Some letters; ``is_over``: after them there are no more."""

    letters: tuple[Letter, ...]
    is_over: bool


@dataclass(slots=True, eq=False)
class _Stream:
    """A stream of a mailbox; ``next_sequence``: of the envelope that is put in next."""

    name: str
    writer: asyncio.StreamWriter
    next_sequence: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Mailbox:
    """One node's. Made and ended by `Mailboxes`."""

    def __init__(self, account: Account, node_id: str) -> None:
        self.id = new_id("mailbox")
        self.account_id = account.id
        self.wallet = account.wallet
        self.node_id = node_id
        self.is_over = False
        self.streams: dict[str, _Stream] = {}
        self._letters: deque[Letter] = deque()
        self._waiting_bytes = 0
        self._last = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()

    async def take(self, after: int, wait_s: float, stopping: asyncio.Event) -> Taken:
        """The letters after this number, which says that those up to it have arrived and may be forgotten.

        Args:
            wait_s: for one, if there is none.
            stopping: nobody waits any more when this is set.
        """
        while self._letters and self._letters[0].number <= after:
            self._waiting_bytes -= self._letters.popleft().size_bytes
            self._room.set()
        if not self._letters and not self.is_over and wait_s:
            self._arrived = asyncio.Event() if self._arrived.is_set() else self._arrived
            waits = [asyncio.create_task(event.wait()) for event in (self._arrived, stopping)]
            try:
                await asyncio.wait(waits, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
        letters = tuple(self._letters)[:LETTERS_MAX]
        return Taken(letters, self.is_over and len(letters) == len(self._letters))

    async def arrived(self, stream: str, envelope: dict[str, object] | None, size: int) -> None:
        """Something was said to the node; waits while too much waits to be taken."""
        while self._waiting_bytes >= WAITING_BYTES_MAX and not self.is_over:
            self._room = asyncio.Event() if self._room.is_set() else self._room
            await self._room.wait()
        self._last += 1
        self._letters.append(Letter(self._last, stream, envelope, size))
        self._waiting_bytes += size
        self._arrived.set()

    def end(self) -> None:
        """It is over: nothing more is said."""
        self.is_over = True
        for stream in self.streams.values():
            stream.writer.close()
        self._arrived.set()
        self._room.set()


class Mailboxes:
    """Every mailbox of this coordinator.

    Args:
        open_stream: raises `MarketAway`.
        stopping: set when the coordinator stops.
    """

    def __init__(
        self, database: Database, open_stream: OpenStream, stopping: asyncio.Event
    ) -> None:
        self._database = database
        self._open_stream = open_stream
        self._stopping = stopping
        self._mailboxes: dict[str, Mailbox] = {}
        # The loop itself holds tasks weakly.
        self._reading: set[asyncio.Task[None]] = set()

    async def open(self, account: Account, node_id: str) -> Mailbox:
        """A mailbox for a node, in which the coordinator's welcome arrives first.

        Raises:
            InvalidRequest: it is no peer id.
            Conflict: the account has too many.
            Unavailable: this coordinator has, or its market is being started.
        """
        try:
            public_key_of(node_id)
        except InvalidValue as error:
            raise InvalidRequest(f"node_id: {error}", "node_id") from error
        living = [mailbox for mailbox in self._mailboxes.values() if not mailbox.is_over]
        if sum(each.account_id == account.id for each in living) >= MAILBOXES_PER_ACCOUNT:
            raise Conflict(
                f"you have {MAILBOXES_PER_ACCOUNT} mailboxes: end one, or wait until one that says nothing is over",
                {"mailboxes_max": MAILBOXES_PER_ACCOUNT},
            )
        if len(living) >= MAILBOXES_MAX:
            raise Unavailable("this coordinator has no mailbox left; try again in a minute")
        mailbox = Mailbox(account, node_id)
        self._mailboxes[mailbox.id] = mailbox
        try:
            await self._database.write(_note)
            await self._join(mailbox, CONTROL, is_lease=False)
        except BaseException:
            del self._mailboxes[mailbox.id]
            raise
        return mailbox

    async def open_lease_stream(self, account: Account, mailbox_id: str) -> str:
        """A stream beside the first one, for one lease; its name.

        Raises:
            NotFound: there is no such mailbox, or it is somebody else's.
            Conflict: it is over, or has too many streams.
            Unavailable: the market is being started.
        """
        mailbox = self._living(account, mailbox_id)
        if len(mailbox.streams) >= STREAMS_MAX:
            raise Conflict(f"a mailbox has at most {STREAMS_MAX} streams at once")
        await self._database.write(_note)
        name = new_id("stream")
        await self._join(mailbox, name, is_lease=True)
        return name

    async def take(self, account: Account, mailbox_id: str, after: int, wait_s: float) -> Taken:
        """What was said to the node; see `Mailbox.take`.

        Raises:
            NotFound: there is no such mailbox, or it is somebody else's.
        """
        return await self._of(account, mailbox_id).take(after, wait_s, self._stopping)

    async def put(
        self, account: Account, mailbox_id: str, stream_name: str, envelopes: Sequence[object]
    ) -> int:
        """Hand on what the node says on a stream; those that were handed on before are passed over.

        Returns: the number of the envelope that comes next.

        Raises:
            NotFound: there is no such mailbox or stream, or it is somebody else's.
            InvalidRequest: one is no envelope, or is too large.
            Forbidden: a hello names another wallet than the account's.
            Conflict: one before them is missing; or the mailbox is over.
            Unavailable: the market takes nothing now.
        """
        mailbox = self._living(account, mailbox_id)
        stream = mailbox.streams.get(stream_name)
        if stream is None:
            raise NotFound(f"the mailbox has no stream {stream_name[:80]} (any more)")
        frames = [_frame(number, value, mailbox) for number, value in enumerate(envelopes)]
        async with stream.writing:
            for sequence, frame in frames:
                if sequence < stream.next_sequence:
                    continue
                if sequence > stream.next_sequence:
                    raise Conflict(
                        f"the stream's next envelope has sequence {stream.next_sequence}, and not {sequence}: "
                        "send those between first",
                        {"next_sequence": stream.next_sequence},
                    )
                stream.writer.write(frame)
                stream.next_sequence += 1
            try:
                async with asyncio.timeout(_WRITE_LIMIT_S):
                    await stream.writer.drain()
            except TimeoutError:
                # What was written is on its way, and passed over when it is sent again.
                raise Unavailable(
                    "the market does not keep up; send this again in a moment"
                ) from None
            except ConnectionError as error:
                raise _over() from error
        return stream.next_sequence

    def end(self, account: Account, mailbox_id: str) -> None:
        """End a mailbox; its node has left then.

        Raises:
            NotFound: there is no such mailbox, or it is somebody else's.
        """
        mailbox = self._of(account, mailbox_id)
        mailbox.end()
        self._mailboxes.pop(mailbox.id, None)

    def _of(self, account: Account, mailbox_id: str) -> Mailbox:
        mailbox = self._mailboxes.get(mailbox_id)
        if mailbox is None or mailbox.account_id != account.id:
            raise NotFound(
                f"there is no mailbox {mailbox_id[:80]}, or it is over: open another",
                {"mailbox_id": mailbox_id[:80]},
            )
        return mailbox

    def _living(self, account: Account, mailbox_id: str) -> Mailbox:
        mailbox = self._of(account, mailbox_id)
        if mailbox.is_over:
            raise _over()
        return mailbox

    async def _join(self, mailbox: Mailbox, name: str, *, is_lease: bool) -> None:
        try:
            given = self._open_stream(mailbox.node_id, mailbox.id, is_lease)
        except MarketAway as error:
            raise Unavailable("the market is being started; try again in a moment") from error
        try:
            reader, writer = await asyncio.open_unix_connection(sock=given, limit=_READ_BYTES)
        except BaseException:
            given.close()
            raise
        stream = mailbox.streams[name] = _Stream(name, writer)
        task = asyncio.create_task(self._read(mailbox, stream, reader))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, mailbox: Mailbox, stream: _Stream, reader: asyncio.StreamReader) -> None:
        decoder = FrameDecoder()
        try:
            while data := await reader.read(_READ_BYTES):
                for envelope in decoder.feed(data):
                    # What it takes here is about what it took on the way.
                    size = len(encode_frame(envelope))
                    await mailbox.arrived(stream.name, envelope, size)
        except (ConnectionError, MalformedMessage):
            pass  # it is over, and that is said below
        finally:
            mailbox.streams.pop(stream.name, None)
            stream.writer.close()
            if stream.name == CONTROL:
                mailbox.end()
                forget = asyncio.get_running_loop().call_later
                forget(_OVER_S, self._mailboxes.pop, mailbox.id, None)
        if stream.name != CONTROL:
            await mailbox.arrived(stream.name, None, 0)


def _note(_: Connection) -> None:
    """Nothing of a mailbox is stored, but who opened it is in the audit log, and its idempotency key is used: both come
    with a request's first transaction."""


def _frame(number: int, value: object, mailbox: Mailbox) -> tuple[int, bytes]:
    """An envelope's sequence number, and it as it goes to the market process.

    Raises:
        InvalidRequest: it is none, of somebody else, or too large.
        Forbidden: it is a hello of another owner's machine.
    """
    where = f"envelopes[{number}]"
    try:
        envelope = parse_envelope(value)
        frame = encode_frame(dict(envelope.to_dict()))
    except (MalformedMessage, InvalidValue, OverflowError, ValueError) as error:
        raise InvalidRequest(f"{where}: {error}", where) from error
    if envelope.sender != mailbox.node_id:
        raise InvalidRequest(f"{where}: its sender is not {mailbox.node_id}", where)
    if envelope.type == "hello" and _wallet_in(envelope.body) != mailbox.wallet:
        raise Forbidden(
            f"{where}: a machine that speaks through your account is owned by your wallet, {mailbox.wallet}: name "
            "that in its offer",
            {"wallet": mailbox.wallet},
        )
    return envelope.sequence, frame


def _wallet_in(hello: dict[str, Json]) -> object:
    offer = hello.get("offer")
    return offer.get("wallet") if isinstance(offer, dict) else None


def _over() -> Conflict:
    return Conflict("the mailbox is over: open another, and say hello again")
