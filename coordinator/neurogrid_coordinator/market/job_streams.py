"""Streams into jobs, and to replicas: bytes between a socket of the api and a stream to a node, passed on unread.

The api makes a pair of sockets for each stream and gives us one end (`lane`). What
neither end takes stays in the kernel's buffers, and stops whoever sends; nothing is kept here. When the api
leaves, the node's stream ends; when the node does, the api has what it said before.
"""

import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from neurogrid_marketplace.job_stream import (
    REFUSALS,
    Refused,
    StreamRefusal,
    write_words,
)
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed, P2pError

JOB_STREAMS_PER_NODE = 128
# Each is a socket here and one in the api.
JOB_STREAMS_MAX = 512
_CHUNK_BYTES = 65_536
# From the last byte until the api has to have left.
_FAREWELL_LIMIT_S = 30.0

_log = logging.getLogger(__name__)


class JobStreams:
    """Every one of them.

    Args:
        open_bytes: opens a stream to a node on the connection of its control stream; raises `P2pError`
            if it is not connected, or lets nobody in.
    """

    def __init__(self, open_bytes: Callable[[str, str], Awaitable[ByteStream]]) -> None:
        self._open_bytes = open_bytes
        self._open: Counter[str] = Counter()

    async def serve(self, node_id: str, protocol: str, given: socket.socket) -> None:
        """One stream, from its opening to its end."""
        async with trio.SocketStream(trio.socket.from_stdlib_socket(given)) as api:
            refusal = StreamRefusal.TOO_MANY
            if self._open[node_id] < JOB_STREAMS_PER_NODE and self._open.total() < JOB_STREAMS_MAX:
                self._open[node_id] += 1
                try:
                    stream = await self._open_bytes(node_id, protocol)
                except P2pError as error:
                    _log.debug("no stream into a job at %s: %s", node_id, error)
                    refusal = StreamRefusal.NODE_AWAY
                else:
                    await _join(api, stream)
                    return
                finally:
                    self._open[node_id] -= 1
                    if not self._open[node_id]:
                        del self._open[node_id]
            with suppress(trio.BrokenResourceError), trio.move_on_after(_FAREWELL_LIMIT_S):
                await api.send_all(write_words(Refused(refusal, REFUSALS[refusal])))
                await api.send_eof()
                async for _ in api:
                    pass


async def _join(api: trio.SocketStream, stream: ByteStream) -> None:
    """Pass bytes on both ways, until the api leaves. A node that goes is heard to its end before: what it said last may be on its way."""
    try:
        async with trio.open_nursery() as nursery:

            def leave_soon() -> None:
                nursery.cancel_scope.deadline = trio.current_time() + _FAREWELL_LIMIT_S

            async def to_node() -> None:
                with suppress(trio.BrokenResourceError):
                    try:
                        async for piece in api:
                            await stream.write(bytes(piece))
                    except ChannelClosed:
                        # It takes no more, and may have said more than has been read: credit for that is for nobody.
                        leave_soon()
                        async for _ in api:
                            pass
                nursery.cancel_scope.cancel()

            async def to_api() -> None:
                with suppress(trio.BrokenResourceError):
                    # Ended or reset: what came before is the same.
                    with suppress(ChannelClosed):
                        while piece := await stream.read(_CHUNK_BYTES):
                            await api.send_all(piece)
                    # Were its socket closed while it still writes, the api would read an error in place of the node's
                    # last words. It leaves when it has read them.
                    await api.send_eof()
                    leave_soon()
                    await trio.sleep_forever()
                nursery.cancel_scope.cancel()

            nursery.start_soon(to_node)
            nursery.start_soon(to_api)
    finally:
        stream.close()
