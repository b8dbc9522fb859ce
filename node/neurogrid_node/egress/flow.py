"""The limits that all connections of one job share, and a connection that keeps to them."""

import trio

from neurogrid_marketplace.allowance import Allowance
from neurogrid_marketplace.network import Refused

from .caps import Caps
from .dialling import ConnectionRefused
from .record import Record

_READ_BYTES = 64 * 1024


class Flow:
    """The traffic of one job."""

    def __init__(self, caps: Caps, record: Record) -> None:
        self.caps = caps
        self.record = record
        now_s = trio.current_time()
        self._bytes = Allowance(caps.bytes_per_s, now_s)
        self._connections = Allowance(caps.connections_per_s, now_s)

    def require_room(self, size: int) -> None:
        """See that so many bytes more may move.

        Raises:
            ConnectionRefused: they may not, and none may from now on.
        """
        if self.record.moved_bytes + size > self.caps.job_bytes:
            raise ConnectionRefused(
                Refused.VOLUME,
                f"this node moves {self.caps.job_bytes} bytes for a job, and no more",
            )

    def pause_after_s(self, size: int) -> float:
        """How long to wait when so many bytes have moved."""
        return self._bytes.take(size, trio.current_time())

    def pause_before_next_s(self) -> float:
        """How long to wait before another connection is taken."""
        return self._connections.take(1, trio.current_time())


class FlowStream:
    """A connection to a host, counted and kept to the job's limits.

    Args:
        idle: the scope in which it is used; it is cancelled when nothing moves.
    """

    def __init__(
        self, stream: trio.SocketStream, host: str, port: int, flow: Flow, idle: trio.CancelScope
    ) -> None:
        self._stream = stream
        self._host = host
        self._port = port
        self._flow = flow
        self._idle = idle
        flow.record.connected(host, port)
        self._moved_until(trio.current_time())

    async def send(self, data: bytes) -> None:
        """Pass bytes on to the host.

        Raises:
            ConnectionRefused: the job has moved all that it may.
            trio.BrokenResourceError: the host is gone.
        """
        self._flow.require_room(len(data))
        self._flow.record.sent(self._host, self._port, len(data))
        await self._stream.send_all(data)
        await self._keep_pace(len(data))

    async def receive(self) -> bytes:
        """Bytes of the host; empty at its end.

        Raises:
            ConnectionRefused: the job has moved all that it may.
            trio.BrokenResourceError: the host is gone.
        """
        data = bytes(await self._stream.receive_some(_READ_BYTES))
        self._flow.require_room(len(data))
        self._flow.record.received(self._host, self._port, len(data))
        await self._keep_pace(len(data))
        return data

    async def send_eof(self) -> None:
        """Nothing more will be sent."""
        await self._stream.send_eof()

    async def _keep_pace(self, size: int) -> None:
        pause_s = self._flow.pause_after_s(size)
        self._moved_until(trio.current_time() + pause_s)
        if pause_s > 0:
            await trio.sleep(pause_s)

    def _moved_until(self, at_s: float) -> None:
        self._idle.deadline = at_s + self._flow.caps.idle_s
