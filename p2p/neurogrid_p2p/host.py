"""A host: our identity on the network, the sockets it listens on, and the connections it has."""

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import trio

from . import multistream
from ._libp2p import ConnectionClosedError, KeyPair, MuxedStreamError
from .address import Address, parse_address, reachable_hosts
from .byte_stream import ByteStream
from .carrier import Carrier
from .channel import Channel
from .circuit import call
from .connection import Connection, Keys, secure
from .errors import AddressInvalid, ChannelClosed, DialFailed, HandshakeFailed
from .gate import Gate, Refusal
from .limits import HANDSHAKE_LIMIT_S, WINDOW_BYTES, Limits
from .patches import Stream
from .peer_lists import PeerLists
from .tcp import TcpStream

# For the TCP connection alone; handshakes have their own.
CONNECT_LIMIT_S = 10.0
_BACKLOG = 512

Handler = Callable[[Channel], Awaitable[None]]
StreamHandler = Callable[[Connection, Stream], Awaitable[None]]

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_host(
    seed: bytes, listen: Sequence[str] = (), limits: Limits | None = None
) -> AsyncIterator["Host"]:
    """Run a host until the block ends.

    Args:
        seed: 32-byte Ed25519 seed of its identity.
        listen: addresses such as ``/ip4/0.0.0.0/tcp/4001``; port 0 takes any free one. A host
            that only dials needs none.

    Raises:
        AddressInvalid: one of ``listen`` is not such an address.
        OSError: one of them is taken, or not ours.
    """
    addresses = [parse_address(text) for text in listen]
    async with trio.open_nursery() as nursery:
        host = Host(Keys(seed), nursery, limits or Limits())
        try:
            for address in addresses:
                await host._listen(address)
            yield host
        finally:
            nursery.cancel_scope.cancel()


class Host:
    """One peer: ours. Made by `open_host`.

    Attributes:
        peer_id: our id.
    """

    def __init__(self, keys: Keys, nursery: trio.Nursery, limits: Limits) -> None:
        self.peer_id = keys.peer_id
        self._keys = keys
        self._nursery = nursery
        self._gate = Gate(limits)
        self._handlers: dict[str, StreamHandler] = {}
        self._listening: list[Address] = []
        self._live: set[Connection] = set()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us, each with our peer id at its end."""
        return tuple(
            str(Address(address.kind, host, address.port, self.peer_id))
            for address in self._listening
            for host in reachable_hosts(address.host)
        )

    @property
    def listen_addresses(self) -> tuple[str, ...]:
        """What was asked for, with the ports that were taken: give it to the next `open_host`."""
        return tuple(str(address) for address in self._listening)

    @property
    def key_pair(self) -> KeyPair:
        """Our identity's keys, for what libp2p wants signed."""
        return self._keys.libp2p

    @property
    def protocols(self) -> tuple[str, ...]:
        """What is served."""
        return tuple(self._handlers)

    @property
    def connections(self) -> int:
        """How many strangers have made, those in their handshake included."""
        return self._gate.connections

    @property
    def refused(self) -> dict[str, int]:
        """How many were refused or cut off since the start, by `Refusal`."""
        return {why.value: count for why, count in sorted(self._gate.refused.items())}

    def admit(self, lists: PeerLists) -> None:
        """Have only these peers; whoever is connected and may not be is closed."""
        self._gate.admit(lists)
        for connection in list(self._live):
            if self._gate.refuse_listed(connection.remote_id):
                connection.abort()

    def refusal(self, peer_id: str) -> str | None:
        """Why the lists refuse a peer; None if they do not."""
        return self._gate.lists.refusal(peer_id)

    def serve(self, protocol: str, handler: Handler, *, owns_connection: bool = True) -> None:
        """Call ``handler`` with a channel for each stream of ``protocol`` that a peer opens.

        Each call has its own task, and its channel is closed when it returns. What it raises is
        logged and goes no further.

        Args:
            owns_connection: whether the end of such a channel ends its connection.
        """

        async def serve(connection: Connection, stream: Stream) -> None:
            channel = Channel(connection, stream, owns_connection=owns_connection)
            try:
                await handler(channel)
            except ChannelClosed as error:
                _log.debug("%s: %s", connection.remote_id, error)
            finally:
                await channel.aclose()

        self._handlers[protocol] = serve

    def serve_bytes(self, protocol: str, handler: Callable[[ByteStream], Awaitable[None]]) -> None:
        """Call ``handler`` with each stream of ``protocol`` that a peer opens, as bytes.

        As of `serve`: each call has its own task, and the stream is closed when it returns.
        """

        async def serve(connection: Connection, stream: Stream) -> None:
            bytes_ = ByteStream(connection, stream)
            try:
                await handler(bytes_)
            finally:
                bytes_.close()

        self._handlers[protocol] = serve

    def serve_streams(self, protocol: str, handler: StreamHandler) -> None:
        """Call ``handler`` with each stream of ``protocol`` that a peer opens, and its connection.

        Each call has its own task, and lives little longer than the connection. What it raises goes no
        further; `HandshakeFailed` ends the stream, and a defect the connection.
        """
        self._handlers[protocol] = handler

    async def dial(self, address: str, protocol: str) -> Channel:
        """Connect to a peer and open a channel, once: trying again, later, is up to the caller.

        Every call makes a connection of its own, so nothing stale is ever used. It takes at most
        ``CONNECT_LIMIT_S`` and twice ``HANDSHAKE_LIMIT_S``; through a relay twice that.

        Args:
            address: with ``/p2p/`` and the id of the peer, which has to prove it.

        Raises:
            AddressInvalid: not such an address.
            DialFailed: nobody there, somebody else there, or it does not speak ``protocol``.
        """
        connection = await self.connect(address)
        try:
            return Channel(connection, await connection.open_stream(protocol))
        except HandshakeFailed as error:
            connection.abort()
            raise DialFailed(address, str(error)) from error
        except BaseException:
            connection.abort()
            raise

    async def connect(self, address: str, *, max_streams: int | None = None) -> Connection:
        """Connect to a peer, once, without a stream; see `dial`. It lives until it is aborted.

        Args:
            max_streams: how many the peer may have open; by default as strangers.

        Raises:
            AddressInvalid, DialFailed: as of `dial`.
        """
        target = parse_address(address)
        if target.peer_id is None:
            raise AddressInvalid(f"{address} does not say who is there: add /p2p/ and its peer id")
        refusal = self.refusal(target.peer_id)
        if refusal is not None:
            raise DialFailed(address, refusal)
        try:
            carrier = await self._carrier_to(target)
            connection = await secure(carrier, self._keys, target.peer_id)
        except HandshakeFailed as error:
            raise DialFailed(address, str(error)) from error
        limits = self._gate.limits
        if max_streams is not None:
            limits = replace(
                limits,
                streams_per_connection=max_streams,
                unread_bytes_per_connection=max_streams * WINDOW_BYTES,
            )
        await self._nursery.start(self._run, connection, limits, math.inf)
        return connection

    async def accept(self, carrier: Carrier) -> None:
        """Welcome whoever comes in over ``carrier``, and serve it until it leaves."""
        host, gate = carrier.remote_host, self._gate
        with gate.entered(host) as may_enter:
            if not may_enter:
                carrier.abort()
                return
            try:
                with gate.handshake(host):
                    connection = await secure(carrier, self._keys, None, gate.limits.handshake_s)
                await self._welcome(connection)
            except HandshakeFailed as error:
                gate.refuse(Refusal.HANDSHAKE, f"{host} ({error})")
            except Exception:  # noqa: BLE001 - a stranger's connection must not end the host
                _log.exception("connection from %s", host)

    async def _carrier_to(self, target: Address) -> Carrier:
        """Where to authenticate ``target``: a socket, or a circuit.

        Raises:
            DialFailed, HandshakeFailed: there is no way there now.
        """
        if target.relay_id is not None:
            relay = await self.connect(str(target.relay))
            try:
                assert target.peer_id is not None, "checked by connect"
                return await call(relay, target.peer_id)
            except BaseException:
                relay.abort()
                raise
        try:
            with trio.fail_after(CONNECT_LIMIT_S):
                return TcpStream(await trio.open_tcp_stream(target.host, target.port))
        except trio.TooSlowError:
            raise DialFailed(str(target), f"no connection in {CONNECT_LIMIT_S:.0f} s") from None
        except OSError as error:
            raise DialFailed(str(target), str(error)) from error

    async def _listen(self, address: Address) -> None:
        listeners = await trio.open_tcp_listeners(address.port, host=address.host, backlog=_BACKLOG)
        for listener in listeners:
            port = listener.socket.getsockname()[1]
            self._listening.append(Address(address.kind, address.host, port, None))
        self._nursery.start_soon(trio.serve_listeners, self._accept, listeners)

    async def _accept(self, socket: trio.SocketStream) -> None:
        try:
            carrier = TcpStream(socket)
        except OSError:
            return  # gone already
        await self.accept(carrier)

    async def _welcome(self, connection: Connection) -> None:
        with self._gate.proven(connection.remote_id) as may_stay:
            if may_stay:
                limits = self._gate.limits
                await self._run(connection, limits, limits.handshake_s)
            else:
                connection.abort()

    async def _run(
        self,
        connection: Connection,
        limits: Limits,
        first_stream_s: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self._live.add(connection)
        try:
            await connection.run(
                self._serve_stream,
                limits.streams_per_connection,
                limits.unread_bytes_per_connection,
                first_stream_s,
                task_status,
            )
        except Exception:  # noqa: BLE001 - one connection must not end the host
            _log.exception("connection with %s", connection.remote_id)
        finally:
            self._live.discard(connection)
            if connection.refusal is not None:
                self._gate.refuse(Refusal(connection.refusal), connection.remote_id)

    async def _serve_stream(self, connection: Connection, stream: Stream) -> None:
        try:
            with trio.fail_after(HANDSHAKE_LIMIT_S):
                protocol = await multistream.answer(stream, self._handlers)
        except (
            HandshakeFailed,
            MuxedStreamError,
            ConnectionClosedError,
            trio.TooSlowError,
        ) as error:
            # Others try identify and ping on everybody; that is no reason to lose them.
            _log.debug("%s opened a stream for nothing: %s", connection.remote_id, error)
            connection.refuse_stream(stream)
            return
        try:
            await self._handlers[protocol](connection, stream)
        except (HandshakeFailed, ChannelClosed) as error:
            _log.debug("%s over %s: %s", connection.remote_id, protocol, error)
            await stream.discard()
        except Exception:  # noqa: BLE001 - the handler's outermost boundary
            _log.exception("handler of %s for %s", protocol, connection.remote_id)
            connection.abort()
