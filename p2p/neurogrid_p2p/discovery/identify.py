"""libp2p's identify: what a peer says of itself. Others have to ask before they keep us as a DHT node.

Source: libp2p specification `identify`.
"""

from collections.abc import Callable

import trio

from .. import circuit
from ..connection import Connection
from ..host import Host
from ..limits import HANDSHAKE_LIMIT_S
from ..patches import Stream
from ..protobuf import Fields, message
from .exchange import ask_on, tell
from .peers import Peer, Scope, peer_of

IDENTIFY = "/ipfs/id/1.0.0"
_PROTOCOL_VERSION = "ipfs/0.1.0"
_NAMES_MAX = 256


class Identify:
    """Answers who asks what we are; serves from its construction on.

    Args:
        us: where we are reached.
    """

    def __init__(self, host: Host, us: Callable[[], Peer], agent: str) -> None:
        self._host = host
        self._us = us
        self._agent = agent
        host.serve_streams(IDENTIFY, self._asked)

    async def _asked(self, connection: Connection, stream: Stream) -> None:
        answer = message(
            (1, self._host.key_pair.public_key.serialize()),
            (2, [address.to_bytes() for address in self._us().addresses]),
            (3, [name.encode() for name in self._host.protocols]),
            (5, _PROTOCOL_VERSION),
            (6, self._agent),
        )
        await tell(stream, answer)
        await circuit.close(stream)


async def identified(connection: Connection, scope: Scope) -> tuple[Peer | None, frozenset[str]]:
    """Where a connected peer says it is, and what it says it speaks.

    Raises:
        P2pError: it does not say.
        TooSlowError: not in time.
    """
    with trio.fail_after(HANDSHAKE_LIMIT_S):
        fields = Fields(await ask_on(connection, IDENTIFY, b""))
    # The id is the connection's, whatever key it names here.
    peer = peer_of(circuit.peer_bytes(connection.remote_id), fields.pieces(2), scope)
    names = (name.decode(errors="replace") for name in fields.pieces(3)[:_NAMES_MAX])
    return peer, frozenset(names)
