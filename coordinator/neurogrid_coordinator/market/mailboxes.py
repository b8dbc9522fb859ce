"""Nodes that speak through the api instead of over libp2p: what they send it by HTTPS comes here over sockets.

A mailbox is one node's connection, each of its streams a socket with the frames that a stream of libp2p's would
have. So everything else sees a node: it says hello, beats, bids and is silent too long by the same rules. Who it is
shows its first signature, which is why nothing happens before.
"""

import logging
import socket
from collections.abc import Awaitable, Callable

import trio

from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.local_line import LocalLine
from neurogrid_p2p.peer_lists import PeerLists

from .rpc import SocketWanted

# Each is a socket here and one in the api, and one more for each lease.
MAILBOXES_MAX = 128
# Of one mailbox: its control stream and its leases'.
STREAMS_PER_MAILBOX = 33
# Of all of them.
STREAMS_MAX = 1024

_log = logging.getLogger(__name__)

Handler = Callable[[Channel], Awaitable[None]]


class Mailboxes:
    """Every mailbox.

    Args:
        serve: talks with a node on its control stream.
        serve_lease: talks with it about one lease.
    """

    def __init__(self, serve: Handler, serve_lease: Handler) -> None:
        self._serve = serve
        self._serve_lease = serve_lease
        self._lists = PeerLists()
        self._open: dict[str, LocalLine] = {}

    def admit(self, lists: PeerLists) -> None:
        """Have only these peers connected, from now on."""
        self._lists = lists
        for line in list(self._open.values()):
            if lists.refusal(line.remote_id) is not None:
                line.cut_off("denied")

    async def serve(self, wanted: SocketWanted, given: socket.socket) -> None:
        """One stream, from its opening to its end."""
        async with trio.SocketStream(trio.socket.from_stdlib_socket(given)) as stream:
            try:
                if wanted.is_lease:
                    await self._lease(wanted, stream)
                else:
                    await self._control(wanted, stream)
            except Exception:  # noqa: BLE001 - one stream's outermost boundary
                _log.exception("the mailbox of %s", wanted.node_id)

    async def _control(self, wanted: SocketWanted, stream: trio.SocketStream) -> None:
        refusal = self._lists.refusal(wanted.node_id)
        if refusal is not None or len(self._open) >= MAILBOXES_MAX or wanted.mailbox in self._open:
            _log.debug("no mailbox for %s: %s", wanted.node_id, refusal or "too many")
            return
        async with trio.open_nursery() as nursery:
            line = self._open[wanted.mailbox] = LocalLine(wanted.node_id, nursery)
            try:
                await _talk(line, stream, self._serve, owns_line=True)
            finally:
                del self._open[wanted.mailbox]
                line.abort()
                nursery.cancel_scope.cancel()

    async def _lease(self, wanted: SocketWanted, stream: trio.SocketStream) -> None:
        line = self._open.get(wanted.mailbox)
        if line is None or line.ended.is_set() or line.remote_id != wanted.node_id:
            return
        streams = sum(map(len, self._open.values()))
        if len(line) < STREAMS_PER_MAILBOX and streams < STREAMS_MAX:
            await _talk(line, stream, self._serve_lease, owns_line=False)


async def _talk(
    line: LocalLine, socket_: trio.SocketStream, serve: Handler, *, owns_line: bool
) -> None:
    stream = line.add(socket_)
    channel = Channel(line, stream, owns_connection=owns_line)
    try:
        await serve(channel)
    except ChannelClosed as error:
        _log.debug("%s: %s", line.remote_id, error)
    finally:
        await channel.aclose()
        line.remove(stream)
