"""A circuit: one connection carried by two streams, which a relay joins.

The dialling side asks the relay on a stream of ``HOP``; the relay asks the other side on a stream of
``STOP``. When both have said OK, what is written to one comes out of the other, and the two ends
authenticate each other over it as over TCP: the relay sees ciphertext.
Source: libp2p specification `relay/circuit-v2`; its messages are libp2p's own generated classes.
"""

from contextlib import suppress
from typing import Protocol, TypeVar

import trio

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.identity import public_key_of

from ._libp2p import ConnectionClosedError, MuxedStreamError, circuit_pb2
from .carrier import Carrier
from .connection import Connection
from .errors import HandshakeFailed
from .limits import HANDSHAKE_LIMIT_S
from .patches import Stream
from .varint import prefixed, read_prefixed

HOP = "/libp2p/circuit/relay/0.2.0/hop"
STOP = "/libp2p/circuit/relay/0.2.0/stop"

HopMessage = circuit_pb2.HopMessage
StopMessage = circuit_pb2.StopMessage
Status = circuit_pb2.Status

# The specification's: "messages larger than 4 KiB should be rejected".
MAX_MESSAGE_BYTES = 4096


class _Sendable(Protocol):
    def SerializeToString(self) -> bytes: ...


_Message = TypeVar("_Message", circuit_pb2.HopMessage, circuit_pb2.StopMessage)


async def send(stream: Stream, message: _Sendable) -> None:
    """Write one message.

    Raises:
        HandshakeFailed: the stream is over.
    """
    try:
        await stream.write(prefixed(message.SerializeToString()))
    except (MuxedStreamError, ConnectionClosedError) as error:
        raise HandshakeFailed(str(error) or "the stream is over") from error


async def receive(stream: Stream, kind: type[_Message]) -> _Message:
    """Read one message, and nothing of what follows it.

    Raises:
        HandshakeFailed: it is none, or too long, or the stream is over.
    """
    try:
        data = await read_prefixed(stream, MAX_MESSAGE_BYTES)
    except (MuxedStreamError, ConnectionClosedError) as error:
        raise HandshakeFailed(str(error) or "the stream is over") from error
    try:
        return kind.FromString(data)
    except Exception as error:
        # Protobuf's errors have no base that both of its implementations share.
        raise HandshakeFailed(f"not a circuit message: {error}") from error


def peer_bytes(peer_id: str) -> bytes:
    """A peer id as messages carry it."""
    return base58.decode(peer_id)


def peer_text(data: bytes) -> str:
    """The peer id that a message carries.

    Raises:
        HandshakeFailed: it is not one of an Ed25519 key; we know no others.
    """
    text = base58.encode(data[:64])
    try:
        public_key_of(text)
    except InvalidValue as error:
        raise HandshakeFailed(f"names no peer: {error}") from error
    return text


def status_name(status: circuit_pb2.Status.ValueType) -> str:
    """For people; a later version may know more."""
    return Status.Name(status) if status in Status.values() else f"status {status}"


class CircuitStream(Carrier):
    """Our end of a circuit.

    Args:
        stream: joined to the other end by the relay.
        relay: the connection that it is a stream of.
        owned: whether ``relay`` serves this circuit alone, and so ends with it.
    """

    is_relayed = True

    def __init__(self, stream: Stream, relay: Connection, *, owned: bool) -> None:
        self.remote_host = f"relay {relay.remote_id}"
        self._stream = stream
        self._relay = relay
        self._owned = owned
        self._over = False

    async def read(self, n: int | None = None) -> bytes:
        """At least one and up to ``n`` bytes; none at the end."""
        return await self._stream.read(n)

    async def write(self, data: bytes) -> None:
        """Hand ``data`` to the relay.

        Raises:
            ConnectionClosedError: the circuit is over.
        """
        try:
            await self._stream.write(data)
        except MuxedStreamError as error:
            raise ConnectionClosedError(str(error), transport="circuit") from error

    def abort(self) -> None:
        """See `Carrier`."""
        if self._over:
            return
        self._over = True
        if self._owned:
            self._relay.abort()
        else:
            self._relay.reset_stream(self._stream)

    def finish(self) -> None:
        """See `Carrier`."""
        if not self._over and not self._relay.ended.is_set():
            self._relay.nursery.start_soon(close, self._stream)


async def close(stream: Stream) -> None:
    """Say that we write no more."""
    with suppress(MuxedStreamError, ConnectionClosedError):  # its connection is over, and it too
        await stream.close()


async def call(relay: Connection, peer_id: str) -> CircuitStream:
    """Open a circuit to a peer that has a reservation at ``relay``, which then serves it alone.

    Raises:
        HandshakeFailed: it has none, or does not answer, or the relay is busy.
    """
    stream = await relay.open_stream(HOP)
    try:
        with trio.fail_after(HANDSHAKE_LIMIT_S):
            await send(
                stream,
                HopMessage(
                    type=HopMessage.CONNECT, peer=circuit_pb2.PeerId(id=peer_bytes(peer_id))
                ),
            )
            answer = await receive(stream, HopMessage)
    except trio.TooSlowError:
        raise HandshakeFailed(f"the relay said nothing for {HANDSHAKE_LIMIT_S:.0f} s") from None
    if answer.type != HopMessage.STATUS or answer.status != Status.OK:
        raise HandshakeFailed(f"the relay opens no circuit: {status_name(answer.status)}")
    return CircuitStream(stream, relay, owned=True)
