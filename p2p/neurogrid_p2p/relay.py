"""A relay: joins peers of which neither can be dialled, and lets nobody take more than a share.

A peer that cannot be dialled keeps a connection to us and a reservation on it; whoever wants to reach
it asks us, and we join two streams. Everything is bounded, in number, bytes and time; a circuit that
reaches its limit ends, and its two ends make another. Reservations live in memory: they end with
their connection, and their peers renew them often.
Source: libp2p specification `relay/circuit-v2`.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import trio

from ._libp2p import (
    ConnectionClosedError,
    KeyPair,
    MuxedStreamError,
    circuit_pb2,
    crypto_pb2,
    envelope_pb2,
)
from .address import parse_address
from .circuit import (
    HOP,
    STOP,
    HopMessage,
    Status,
    StopMessage,
    close,
    peer_bytes,
    peer_text,
    receive,
    send,
)
from .connection import Connection
from .errors import HandshakeFailed
from .host import Host
from .limits import HANDSHAKE_LIMIT_S, RelayLimits
from .patches import Stream
from .varint import prefixed

# How long a reserved peer may take to answer a call.
ANSWER_LIMIT_S = 15.0
_READ_BYTES = 65_536
# What a reservation's voucher is signed as. Source: the specification, "Reservation Vouchers".
_VOUCHER_DOMAIN = b"libp2p-relay-rsvp"
_VOUCHER_TYPE = b"\x03\x02"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Reservation:
    connection: Connection
    expires_s: int


class Relay:
    """The relay service of a host; it serves from its construction on.

    Args:
        host: ours. Its limits have to leave room: `RelayLimits.beside`.
        now_s: Unix seconds.
    """

    def __init__(
        self, host: Host, limits: RelayLimits, now_s: Callable[[], float] = time.time
    ) -> None:
        self._host = host
        self._limits = limits
        self._now_s = now_s
        self._reservations: dict[str, _Reservation] = {}
        self._circuits: Counter[str] = Counter()
        host.serve_streams(HOP, self._asked)

    @property
    def reserved(self) -> tuple[str, ...]:
        """Who is reachable through us now."""
        self._forget_expired()
        return tuple(self._reservations)

    @property
    def circuits(self) -> int:
        """How many are open."""
        return self._circuits.total()

    async def _asked(self, connection: Connection, stream: Stream) -> None:
        try:
            with trio.fail_after(HANDSHAKE_LIMIT_S):
                message = await receive(stream, HopMessage)
        except trio.TooSlowError:
            raise HandshakeFailed("asked the relay for nothing") from None
        if connection.is_relayed:
            # A relay behind a relay would let one peer take circuits in another's name.
            await _answer(stream, Status.PERMISSION_DENIED)
        elif message.type == HopMessage.RESERVE:
            await self._reserve(connection, stream)
        elif message.type == HopMessage.CONNECT:
            await self._connect(connection, stream, message)
        else:
            await _answer(stream, Status.UNEXPECTED_MESSAGE)

    async def _reserve(self, connection: Connection, stream: Stream) -> None:
        peer_id = connection.remote_id
        self._forget_expired()
        older = self._reservations.get(peer_id)
        if older is None and not self._has_room_for(connection):
            await _answer(stream, Status.RESERVATION_REFUSED)
            return
        expires_s = int(self._now_s()) + self._limits.reservation_s
        self._reservations[peer_id] = _Reservation(connection, expires_s)
        if older is None or older.connection is not connection:
            connection.call_at_end(lambda: self._left(connection))
        reservation = circuit_pb2.Reservation(
            expire=expires_s,
            addrs=[parse_address(text).to_bytes() for text in self._host.addresses],
            voucher=_voucher(self._host.key_pair, self._host.peer_id, peer_id, expires_s),
        )
        await send(
            stream,
            HopMessage(
                type=HopMessage.STATUS,
                status=Status.OK,
                reservation=reservation,
                limit=self._limit(),
            ),
        )
        await close(stream)

    async def _connect(
        self, connection: Connection, stream: Stream, message: circuit_pb2.HopMessage
    ) -> None:
        try:
            peer_id = peer_text(message.peer.id)
        except HandshakeFailed:
            await _answer(stream, Status.MALFORMED_MESSAGE)
            return
        self._forget_expired()
        reservation = self._reservations.get(peer_id)
        if reservation is None:
            await _answer(stream, Status.NO_RESERVATION)
            return
        if (
            self.circuits >= self._limits.circuits
            or self._circuits[peer_id] >= self._limits.circuits_per_peer
        ):
            await _answer(stream, Status.RESOURCE_LIMIT_EXCEEDED)
            return
        self._circuits[peer_id] += 1
        try:
            onward = await self._called(reservation.connection, connection.remote_id)
            if onward is None:
                await _answer(stream, Status.CONNECTION_FAILED)
                return
            try:
                await send(
                    stream,
                    HopMessage(type=HopMessage.STATUS, status=Status.OK, limit=self._limit()),
                )
                await self._join(stream, onward)
            finally:
                with trio.CancelScope(shield=True):
                    await onward.discard()
                    await stream.discard()
        finally:
            self._circuits[peer_id] -= 1
            if not self._circuits[peer_id]:
                del self._circuits[peer_id]

    async def _called(self, connection: Connection, caller: str) -> Stream | None:
        """The stream on which the reserved peer has taken the call; None if it does not."""
        stream = None
        try:
            stream = await connection.open_stream(STOP)
            with trio.fail_after(ANSWER_LIMIT_S):
                await send(
                    stream,
                    StopMessage(
                        type=StopMessage.CONNECT,
                        peer=circuit_pb2.PeerId(id=peer_bytes(caller)),
                        limit=self._limit(),
                    ),
                )
                answer = await receive(stream, StopMessage)
            if answer.type == StopMessage.STATUS and answer.status == Status.OK:
                return stream
            _log.debug("%s refused %s", connection.remote_id, caller)
        except (HandshakeFailed, trio.TooSlowError) as error:
            _log.debug("%s does not take a circuit: %s", connection.remote_id, error)
        except BaseException:
            if stream is not None:
                with trio.CancelScope(shield=True):
                    await stream.discard()
            raise
        if stream is not None:
            await stream.discard()
        return None

    async def _join(self, one: Stream, other: Stream) -> None:
        """Copy both ways until both have ended, one breaks, or a limit is reached."""
        with trio.move_on_after(self._limits.circuit_s):
            async with trio.open_nursery() as nursery:

                async def copied(source: Stream, target: Stream) -> None:
                    if not await _copy(source, target, self._limits.circuit_bytes):
                        nursery.cancel_scope.cancel()

                nursery.start_soon(copied, one, other)
                nursery.start_soon(copied, other, one)

    def _has_room_for(self, connection: Connection) -> bool:
        here = sum(
            reservation.connection.remote_host == connection.remote_host
            for reservation in self._reservations.values()
        )
        return (
            len(self._reservations) < self._limits.reservations
            and here < self._limits.reservations_per_host
        )

    def _forget_expired(self) -> None:
        now_s = self._now_s()
        for peer_id, reservation in list(self._reservations.items()):
            if reservation.expires_s <= now_s:
                del self._reservations[peer_id]

    def _left(self, connection: Connection) -> None:
        reservation = self._reservations.get(connection.remote_id)
        if reservation is not None and reservation.connection is connection:
            del self._reservations[connection.remote_id]

    def _limit(self) -> circuit_pb2.Limit:
        return circuit_pb2.Limit(duration=self._limits.circuit_s, data=self._limits.circuit_bytes)


async def _answer(stream: Stream, status: circuit_pb2.Status.ValueType) -> None:
    """Refuse."""
    await send(stream, HopMessage(type=HopMessage.STATUS, status=status))
    await close(stream)


async def _copy(source: Stream, target: Stream, limit_bytes: int) -> bool:
    """Copy to the end; returns whether that was an orderly one, within the limit."""
    left = limit_bytes
    try:
        while data := await source.read(min(_READ_BYTES, left)):
            await target.write(data)
            left -= len(data)
            if left <= 0:
                return False
        if source.reset_received:
            return False
        await target.close()
    except (MuxedStreamError, ConnectionClosedError):
        return False
    return True


def _voucher(keys: KeyPair, relay_id: str, peer_id: str, expires_s: int) -> bytes:
    """The relay's signed word that ``peer_id`` is reachable through it: a libp2p signed envelope."""
    payload = circuit_pb2.Voucher(
        relay=peer_bytes(relay_id), peer=peer_bytes(peer_id), expiration=expires_s
    ).SerializeToString()
    signed = prefixed(_VOUCHER_DOMAIN) + prefixed(_VOUCHER_TYPE) + prefixed(payload)
    return envelope_pb2.Envelope(
        public_key=crypto_pb2.PublicKey.FromString(keys.public_key.serialize()),
        payload_type=_VOUCHER_TYPE,
        payload=payload,
        signature=keys.private_key.sign(signed),
    ).SerializeToString()
