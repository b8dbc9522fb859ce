"""One question and one answer on a stream of its own, each with its length in front."""

import trio

from .._libp2p import ConnectionClosedError, MuxedStreamError
from ..connection import Connection
from ..errors import HandshakeFailed
from ..host import Host
from ..patches import Stream
from ..varint import prefixed, read_prefixed

# The protocols here allow up to 4 MiB. Twenty peers with sixteen addresses each are 20 KiB.
MAX_MESSAGE_BYTES = 65_536
# For the whole of it, from the first packet of a connection on.
EXCHANGE_LIMIT_S = 20.0


async def ask(host: Host, address: str, protocol: str, question: bytes) -> bytes:
    """Connect to a peer, ask it something, and disconnect.

    Raises:
        P2pError: it is not there, or does not answer.
    """
    try:
        with trio.fail_after(EXCHANGE_LIMIT_S):
            connection = await host.connect(address)
            try:
                return await ask_on(connection, protocol, question)
            finally:
                connection.abort()
    except trio.TooSlowError:
        raise HandshakeFailed(f"no answer within {EXCHANGE_LIMIT_S:.0f} s") from None


async def ask_on(connection: Connection, protocol: str, question: bytes) -> bytes:
    """Ask on a connection that there is already; the deadline is the caller's.

    Raises:
        P2pError: the peer does not answer.
    """
    stream = await connection.open_stream(protocol)
    try:
        if question:
            await tell(stream, question)
        return await hear(stream)
    finally:
        connection.reset_stream(stream)


async def tell(stream: Stream, message: bytes) -> None:
    """Write one message.

    Raises:
        HandshakeFailed: the stream is over.
    """
    try:
        await stream.write(prefixed(message))
    except (MuxedStreamError, ConnectionClosedError) as error:
        raise HandshakeFailed(str(error) or "the stream is over") from error


async def hear(stream: Stream) -> bytes:
    """Read one message, and nothing of what follows it.

    Raises:
        HandshakeFailed: too long, or the stream is over.
    """
    try:
        return await read_prefixed(stream, MAX_MESSAGE_BYTES)
    except (MuxedStreamError, ConnectionClosedError) as error:
        raise HandshakeFailed(str(error) or "the stream is over") from error
