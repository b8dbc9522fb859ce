"""Nodes' requests for files that come over their own connections: checked, and passed on to the api.

One stream carries one HTTP request for one file, and its answer. Nothing else gets through: the request's
head is read whole and written anew, with the few fields that matter. Which files the bearer may have,
and how large they may be, the api decides as for anybody (`api/native/artifacts.py`).
"""

import logging
import re
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

import trio

from neurogrid_marketplace.messages import FILES_PROTOCOL_ID
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host

# A lease's token and a handful of short fields.
_MAX_HEAD_BYTES = 4096
_HEAD_LIMIT_S = 15.0
# Neither end has sent or taken anything for so long.
_SILENCE_LIMIT_S = 60.0
# Requests under way of one node, and of all.
REQUESTS_PER_NODE = 4
_REQUESTS = 64
_CHUNK_BYTES = 65_536
_REQUEST = re.compile(rb"(?:GET|HEAD|PUT) /api/v1/artifacts/[0-9a-f]{64}(?:/checkpoint)? HTTP/1\.1")
_FIELD = re.compile(
    rb"([A-Za-z-]{1,64}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]{0,1022}[\x21-\x7e])?)[ \t]*"
)
_LENGTH = re.compile(rb"[0-9]{1,15}")
_PASSED_ON = frozenset({b"authorization", b"content-length", b"range", b"accept-encoding"})

_log = logging.getLogger(__name__)


class RequestRefused(Exception):
    """The request is none for a file."""


class FileDoor:
    """Passes requests for files on to the api.

    Args:
        api: its host and port on this machine, such as "127.0.0.1:8080".
        knows: whether a peer is one of our nodes.
    """

    def __init__(self, api: str, knows: Callable[[str], bool]) -> None:
        host, _, port = api.rpartition(":")
        self._host, self._port = host.strip("[]"), int(port)
        self._knows = knows
        self._under_way: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many requests are."""
        return self._under_way.total()

    def serve_on(self, host: Host) -> None:
        """Take requests from the peers of ``host``."""
        host.serve_bytes(FILES_PROTOCOL_ID, self.serve)

    async def serve(self, stream: ByteStream) -> None:
        """One request and its answer."""
        node_id = stream.remote_id
        if (
            not self._knows(node_id)
            or self._under_way[node_id] >= REQUESTS_PER_NODE
            or self._under_way.total() >= _REQUESTS
        ):
            _log.debug("%s may not ask for files (now)", node_id)
            return
        self._under_way[node_id] += 1
        try:
            await self._pass_on(stream)
        except* RequestRefused as group:
            _log.warning("%s asked for no file: %s", node_id, group.exceptions)
        except* (OSError, trio.BrokenResourceError, trio.TooSlowError, ChannelClosed) as group:
            # The node asks again; that it had to is worth a look, and no more.
            _log.info("files of %s: %s", node_id, group.exceptions)
        finally:
            self._under_way[node_id] -= 1
            if not self._under_way[node_id]:
                del self._under_way[node_id]

    async def _pass_on(self, stream: ByteStream) -> None:
        with trio.fail_after(_HEAD_LIMIT_S):
            head, body_bytes, begun = await _read_head(stream)
        async with await trio.open_tcp_stream(self._host, self._port) as api:
            with trio.CancelScope() as scope:

                def moved() -> None:
                    scope.deadline = trio.current_time() + _SILENCE_LIMIT_S

                moved()
                async with trio.open_nursery() as nursery:
                    await api.send_all(head)
                    nursery.start_soon(_send_body, stream, api, body_bytes, begun, moved)
                    async for piece in api:
                        await stream.write(bytes(piece))
                        moved()
                    await stream.finish()
            if scope.cancelled_caught:
                raise trio.TooSlowError


async def _send_body(
    stream: ByteStream,
    api: trio.SocketStream,
    body_bytes: int,
    begun: bytes,
    moved: Callable[[], None],
) -> None:
    """Pass the request's body on, and not one byte more; then wait for the node to be done."""
    try:
        while body_bytes > 0:
            piece = (begun or await stream.read(_CHUNK_BYTES))[:body_bytes]
            if not piece:
                return
            begun = b""
            body_bytes -= len(piece)
            await api.send_all(piece)
            moved()
    except trio.BrokenResourceError:
        return  # the api has answered already, and wants no more
    # What it has not read of the answer would be lost if we ended the stream now.
    with suppress(ChannelClosed):
        while await stream.read(_CHUNK_BYTES):
            raise RequestRefused("it went on after its request")


async def _read_head(stream: ByteStream) -> tuple[bytes, int, bytes]:
    """The request's head as the api gets it, its body's size, and what has arrived of that.

    Raises:
        RequestRefused: it is none for a file.
        ChannelClosed: the stream broke.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        if len(data) > _MAX_HEAD_BYTES:
            raise RequestRefused("its head does not end")
        piece = await stream.read(_CHUNK_BYTES)
        if not piece:
            raise RequestRefused("it has no head")
        data += piece
    head, _, begun = data.partition(b"\r\n\r\n")
    request, *lines = head.split(b"\r\n")
    if len(head) > _MAX_HEAD_BYTES or not _REQUEST.fullmatch(request):
        raise RequestRefused(f"{request[:100]!r}")
    fields: dict[bytes, bytes] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise RequestRefused(f"a field of its head is {line[:100]!r}")
        name = match[1].lower()
        if name in fields:
            raise RequestRefused(f"it has {name.decode()} twice")
        fields[name] = match[2]
    length = fields.get(b"content-length", b"0")
    if not _LENGTH.fullmatch(length):
        raise RequestRefused(f"its length is {length[:100]!r}")
    passed = [name + b": " + value for name, value in fields.items() if name in _PASSED_ON]
    new = [request, b"host: api", b"connection: close", *passed, b"", b""]
    return b"\r\n".join(new), int(length), begun
