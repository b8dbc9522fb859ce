"""What we change in libp2p 0.8.1's Yamux, and why.

All of it is in two subclasses. libp2p creates its streams by the name ``yamux.YamuxStream``, so that
name has to be replaced; nothing else is patched in place. The overridden methods are private, so the
release is pinned, and ``tests/p2p/test_patches.py`` fails when their stock source changes: then read
it again and drop what has been mended.

| stock 0.8.1 | here |
|---|---|
| a cancelled write tears a frame: every stream of the connection dies, unnoticed | `Muxer._write_frame` finishes the frame, or gives the connection up after a deadline |
| a write to a frozen peer waits for ever | the same deadline |
| a peer may ignore the receive window and fill our memory | `Muxer._read_data_body` closes the connection |
| a peer that announces a body and does not send it holds its connection for 60 s | `Muxer._read_data_body` waits for ``BODY_LIMIT_S`` |
| what arrived just before the end of the connection is thrown away unread | `Muxer._cleanup_on_error` keeps it for the reader |
| a cancelled read loses the bytes it took | `Stream.read` takes them after its last cancellation point |
| one WINDOW_UPDATE frame for each read; windows that grow to 16 MiB | `Stream` answers every half window, and keeps it at 256 KiB |
| a writer polls an exhausted window, and resets the stream after 5 s | `Stream.write` waits for the update, up to ``STALL_LIMIT_S`` |
| beyond 256 streams of ours the next one silently waits for ever | `Muxer` raises that to ``STREAMS_MAX``; who opens one has a deadline |
| who reads is not told of our own reset | `Stream.discard` wakes it; `Stream.closed` wakes who waits for the window |
| each frame of data waits for a lock, and so for every other task, on its way to its stream | `Frames` gives it to the stream at once |
| so does each frame on its way out, also where nobody else writes; many small ones are as many messages | `Muxer._write_frame` takes a free lock at once, and writes what came meanwhile together |
| a ping every 30 s to measure what nobody needs now | `Muxer._measure_rtt_loop` does nothing |

We do not use its `Swarm` and `BasicHost` (see docs/adr/0003-one-p2p-package.md), so that their traps need
no patches: the 250 ms wait of every dial, the 60 s block after a failed one, the inbound limit that
counts connections long closed, SO_REUSEPORT on every listener, exceptions of handlers that end the
host, and the fixed sleeps of every close.
"""

import contextlib
import struct
from collections import deque

import trio

from ._libp2p import ID, ConnectionClosedError, MuxedStreamError, SecureSession, read_exactly, yamux
from .carrier import Carrier
from .frames import Frames
from .limits import WINDOW_BYTES

LIBP2P_VERSION = "0.8.1"

# A frame that the kernel has not taken after this long: the peer is frozen or gone. Yamux shares
# one socket among its streams, so everything behind this frame waits too.
WRITE_LIMIT_S = 10.0
# A frame that was announced and does not come: everything behind it waits, too. Stock waits for 60 s, and
# before 0.8.1 for ever (CVE-2026-73568).
BODY_LIMIT_S = 10.0
# A peer that reads nothing for this long, with a whole window unread, is not coming back to it.
STALL_LIMIT_S = 30.0
# All unread bytes of one connection, as long as nobody allows more: the windows of four streams.
UNREAD_LIMIT_BYTES = 4 * WINDOW_BYTES
# Streams that we open on one connection, those being closed included: a node has one for each of its
# 256 leases, and the control stream.
STREAMS_MAX = 1024
# One Noise message: 65,535 bytes with 16 of tag. A piece of a stream fits into it together with its header.
_MESSAGE_BYTES = 65_535 - 16
_CHUNK_BYTES = _MESSAGE_BYTES - yamux.HEADER_SIZE


class Stream(yamux.YamuxStream):
    """A Yamux stream, read by one task and written by one task."""

    conn: "Muxer"
    # Class-level defaults, because the base's constructor already sets `send_window` and `closed`.
    _send_window = 0
    _closed = False
    _window_opened: trio.Event | None = None
    # What the reader waits for, or has waited for last.
    _arrival: trio.Event | None = None
    _unacknowledged_bytes = 0
    # What had arrived when the connection ended; set by `Muxer._cleanup_on_error`.
    leftover: bytearray | None = None

    @property
    def send_window(self) -> int:
        """How many bytes the peer has room for."""
        return self._send_window

    @send_window.setter
    def send_window(self, value: int) -> None:
        self._send_window = value
        if value > 0 and self._window_opened is not None:
            self._window_opened.set()

    @property
    def closed(self) -> bool:
        """Whether both directions are."""
        return self._closed

    @closed.setter
    def closed(self, value: bool) -> None:
        self._closed = value
        if value and self._window_opened is not None:
            self._window_opened.set()

    async def read(self, n: int | None = None) -> bytes:
        """At least one and up to ``n`` bytes; none at the end of the stream or the connection.

        Cancelling loses nothing.
        """
        while True:
            buffer = self.conn.stream_buffers.get(self.stream_id, self.leftover)
            if buffer:
                data = bytes(buffer if n is None else buffer[:n])
                del buffer[: len(data)]
                await self._auto_tune_and_send_window_update(bytes_read=len(data))
                return data
            arrival = self.conn.stream_events.get(self.stream_id)
            if arrival is None or self.recv_closed or self.closed:
                if self.closed:
                    # Stock frees it in the methods that this one replaces.
                    await self.conn._finalize_stream(self, fully_closed=True)
                return b""
            self._arrival = arrival
            await arrival.wait()
            if self.stream_id in self.conn.stream_events:
                self.conn.stream_events[self.stream_id] = trio.Event()

    async def write(self, data: bytes) -> None:
        """Send all of ``data``, waiting for the peer's window.

        Raises:
            MuxedStreamError: the stream is closed, or the peer read nothing for
                ``STALL_LIMIT_S``.
            ConnectionClosedError: the connection is.
        """
        sent = 0
        while sent < len(data):
            if self._send_window <= 0:
                await self._wait_for_window()
            if self.send_closed or self.closed:
                raise MuxedStreamError("the stream is closed")
            chunk = data[sent : sent + min(self._send_window, _CHUNK_BYTES)]
            self._send_window -= len(chunk)
            header = struct.pack(
                yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, self.stream_id, len(chunk)
            )
            await self.conn._write_frame(header + chunk)
            sent += len(chunk)

    async def discard(self) -> None:
        """End it in both directions, with whatever has not been read."""
        self.conn.stream_buffers.get(self.stream_id, bytearray()).clear()
        with contextlib.suppress(MuxedStreamError, ConnectionClosedError):
            await self.reset()
        if self._arrival is not None:
            self._arrival.set()  # stock wakes a reader only when it was the peer who reset

    async def _wait_for_window(self) -> None:
        self._window_opened = trio.Event()
        with trio.move_on_after(STALL_LIMIT_S):
            await self._window_opened.wait()
        self._window_opened = None
        if self._send_window <= 0 and not self.closed:
            raise MuxedStreamError(f"the peer read nothing for {STALL_LIMIT_S:.0f} s")

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        self._unacknowledged_bytes += bytes_read
        if self._unacknowledged_bytes < WINDOW_BYTES // 2 or self.recv_closed or self.closed:
            return
        increment, self._unacknowledged_bytes = self._unacknowledged_bytes, 0
        self.recv_window += increment
        # Shielded: the caller holds bytes that a cancellation would lose.
        with trio.CancelScope(shield=True):
            await self.send_window_update(increment)


class Muxer(yamux.Yamux):
    """Yamux over one authenticated connection."""

    def __init__(self, secured: SecureSession, peer_id: ID, carrier: Carrier) -> None:
        super().__init__(secured, peer_id, is_initiator=secured.is_initiator)
        self.secured_conn = Frames(secured, self._deliver)  # type: ignore[assignment]  # stock reads, writes and closes it, and no more
        self.unread_limit_bytes = UNREAD_LIMIT_BYTES
        self._carrier = carrier
        # Frames that wait to be written; how many have come, and how many of those have gone.
        self._leaving: deque[bytes] = deque()
        self._came = self._went = 0
        self.stream_backlog_semaphore = trio.Semaphore(STREAMS_MAX)

    async def _write_frame(self, data: bytes) -> None:
        self._leaving.append(data)
        self._came += 1
        number = self._came
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + WRITE_LIMIT_S
            try:
                self._write_lock.acquire_nowait()
            except trio.WouldBlock:
                await self._write_lock.acquire()
            try:
                if self._went < number:
                    await self._write_frames()
            finally:
                self._write_lock.release()
        if scope.cancelled_caught:
            # Part of the frame may be out, so nothing can follow it.
            self._carrier.abort()
            raise MuxedStreamError(f"the peer took nothing for {WRITE_LIMIT_S:.0f} s")
        # The socket has let others go on.
        await trio.lowlevel.checkpoint_if_cancelled()

    async def _write_frames(self) -> None:
        """Write those that wait, of all streams, in one message as far as they go into it."""
        message = bytearray(self._leaving.popleft())
        self._went += 1
        while self._leaving and len(message) + len(self._leaving[0]) <= _MESSAGE_BYTES:
            message += self._leaving.popleft()
            self._went += 1
        await self.secured_conn.write(bytes(message))

    def _deliver(self, stream_id: int, data: bytes) -> bool:
        """Give a frame's data to a stream that is open, as stock does; see `frames`."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.recv_closed or stream.closed or not self._has_room(len(data)):
            return False
        self.stream_buffers[stream_id] += data
        stream.recv_window = max(0, stream.recv_window - len(data))
        self.stream_events[stream_id].set()
        return True

    def _has_room(self, more_bytes: int) -> bool:
        unread_bytes = sum(map(len, self.stream_buffers.values()))
        return unread_bytes + more_bytes <= self.unread_limit_bytes

    async def _read_data_body(self, length: int) -> bytes:
        if not self._has_room(length):
            # The one exception that `handle_incoming` answers by closing the connection.
            raise trio.TooSlowError
        with trio.fail_after(BODY_LIMIT_S):
            # As stock does, without a second deadline around it and its look for one in the environment, at each frame.
            return await read_exactly(self.secured_conn, length)

    async def _cleanup_on_error(self) -> None:
        for stream_id, stream in self.streams.items():
            if isinstance(stream, Stream):
                stream.leftover = self.stream_buffers.get(stream_id)
        await super()._cleanup_on_error()

    async def _measure_rtt_loop(self) -> None:
        return


yamux.YamuxStream = Stream  # type: ignore[misc]  # this is the patch
