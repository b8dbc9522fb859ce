"""libp2p's ping: js-libp2p asks it of a node before it takes it for one of the DHT.

Source: libp2p specification `ping`.
"""

import trio

from .. import circuit
from .._libp2p import ConnectionClosedError, MuxedStreamError
from ..connection import Connection
from ..errors import HandshakeFailed
from ..host import Host
from ..patches import Stream
from .exchange import EXCHANGE_LIMIT_S

PING = "/ipfs/ping/1.0.0"
_PING_BYTES = 32
# Pings that one stream may carry.
_PINGS_MAX = 64


def answer_pings(host: Host) -> None:
    """Have a host answer them."""
    host.serve_streams(PING, _answer)


async def _answer(connection: Connection, stream: Stream) -> None:
    left = _PINGS_MAX * _PING_BYTES
    try:
        while left > 0:
            # What comes in pieces goes back in pieces: together they are the same bytes.
            with trio.fail_after(EXCHANGE_LIMIT_S):
                data = await stream.read(min(left, _PING_BYTES))
                if not data:
                    break
                await stream.write(data)
            left -= len(data)
    except (MuxedStreamError, ConnectionClosedError, trio.TooSlowError) as error:
        raise HandshakeFailed(str(error) or "a ping that does not come") from error
    await circuit.close(stream)
