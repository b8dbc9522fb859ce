"""One authenticated, multiplexed connection: TCP or a circuit, then Noise, then Yamux.

Source: libp2p specifications `noise`, `yamux` and `connections`.
"""

import logging
import math
from collections.abc import Awaitable, Callable

import trio

from . import multistream
from ._libp2p import (
    ID,
    NOISE_PROTOCOL_ID,
    ConnectionClosedError,
    KeyPair,
    MuxedConnUnavailable,
    MuxedStreamError,
    NoiseTransport,
    RawConnection,
    SecureSession,
    ed25519_key_pair,
    x25519_key_pair,
    yamux,
)
from .carrier import Carrier
from .errors import HandshakeFailed
from .limits import HANDSHAKE_LIMIT_S
from .patches import Muxer, Stream

# How long the handlers of a connection may clean up after it has ended.
HANDLER_GRACE_S = 10.0
# Streams of one connection that may be opened for a protocol which we do not speak.
_REFUSED_MAX = 16

_log = logging.getLogger(__name__)


class Keys:
    """A host's identity as the handshake needs it."""

    def __init__(self, seed: bytes) -> None:
        """Take a 32-byte Ed25519 seed; the key of the Noise exchange is fresh for each host."""
        self.libp2p: KeyPair = ed25519_key_pair(seed)
        self.peer_id: str = ID.from_pubkey(self.libp2p.public_key).to_base58()
        self.noise = NoiseTransport(self.libp2p, noise_privkey=x25519_key_pair().private_key)


async def secure(
    carrier: Carrier, keys: Keys, expected: str | None, limit_s: float = HANDSHAKE_LIMIT_S
) -> "Connection":
    """Authenticate both ends and set up the multiplexer.

    Args:
        expected: the peer id that was dialled, or None for a connection that came in.
        limit_s: how long it may take.

    Raises:
        HandshakeFailed: a wrong or unproven peer id, another protocol, or too slow.
    """
    dialled = expected is not None
    try:
        with trio.fail_after(limit_s):
            if expected is not None:
                await multistream.propose(carrier, NOISE_PROTOCOL_ID)
                raw = RawConnection(carrier, initiator=True)
                session = await keys.noise.secure_outbound(raw, ID.from_base58(expected))
                await multistream.propose(session, yamux.PROTOCOL_ID)
            else:
                await multistream.answer(carrier, (NOISE_PROTOCOL_ID,))
                session = await keys.noise.secure_inbound(RawConnection(carrier, initiator=False))
                await multistream.answer(session, (yamux.PROTOCOL_ID,))
            remote = session.get_remote_peer()
    except trio.TooSlowError:
        carrier.abort()
        raise HandshakeFailed(f"no handshake within {limit_s:g} s") from None
    except HandshakeFailed:
        carrier.abort()
        raise
    except Exception as error:
        # Not a task's boundary, but libp2p's: what it raises on hostile bytes has no common base.
        carrier.abort()
        raise HandshakeFailed(f"{type(error).__name__}: {error}") from error
    except BaseException:
        carrier.abort()
        raise
    assert isinstance(session, SecureSession), "Noise makes secure sessions"
    assert not dialled or remote.to_base58() == expected, "Noise checks who answers"
    return Connection(Muxer(session, remote, carrier), carrier, remote.to_base58())


class Connection:
    """One peer at the other end of one carrier.

    Attributes:
        remote_id: its peer id, proven in the handshake.
        remote_host: its IP address, or the relay between us.
        is_relayed: whether a relay carries it.
        ended: set when the connection is over.
        refusal: a word for why the peer was cut off, if it was (`gate.Refusal`).
    """

    def __init__(self, muxer: Muxer, carrier: Carrier, remote_id: str) -> None:
        self.remote_id = remote_id
        self.remote_host = carrier.remote_host
        self.is_relayed = carrier.is_relayed
        self.ended = trio.Event()
        self.refusal: str | None = None
        self._muxer = muxer
        self._carrier = carrier
        self._nursery: trio.Nursery | None = None
        self._refused = 0
        self._at_end: set[Callable[[], None]] = set()

    @property
    def nursery(self) -> trio.Nursery:
        """Where tasks live that belong to this connection."""
        assert self._nursery is not None, "run() comes first"
        return self._nursery

    async def run(
        self,
        accepted: Callable[["Connection", Stream], Awaitable[None]],
        max_streams: int,
        max_unread_bytes: int,
        first_stream_s: float,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Carry traffic until either end closes.

        Args:
            accepted: called in a task of its own for each stream that the peer opens; it must
                not raise.
            max_streams: a peer that opens more at once is cut off.
            max_unread_bytes: and so is one that has more unread in all its streams.
            first_stream_s: and so is one that opens no stream for so long.
        """
        self._muxer.unread_limit_bytes = max_unread_bytes
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._run_muxer, nursery)
                await self._muxer.event_started.wait()
                task_status.started()
                await self._accept(nursery, accepted, max_streams, first_stream_s)
        finally:
            self.abort()

    async def open_stream(self, protocol: str) -> Stream:
        """Open a stream on which the peer agrees to speak ``protocol``.

        Raises:
            HandshakeFailed: it does not, or not in time.
        """
        try:
            with trio.fail_after(HANDSHAKE_LIMIT_S):
                stream = await self._muxer.open_stream()
                assert isinstance(stream, Stream), "patches.py replaces the stream class"
                await self._propose(stream, protocol)
        except trio.TooSlowError:
            raise HandshakeFailed(f"no stream within {HANDSHAKE_LIMIT_S:.0f} s") from None
        except (MuxedStreamError, ConnectionClosedError) as error:
            raise HandshakeFailed(str(error)) from error
        return stream

    def reset_stream(self, stream: Stream) -> None:
        """End one stream at once, in both directions, read or not; never waits."""
        if not self.ended.is_set():
            self.nursery.start_soon(stream.discard)

    def refuse_stream(self, stream: Stream) -> None:
        """End a stream that the peer opened for something we do not speak: other libp2p hosts ask
        for `identify` and the like on every connection. One that goes on asking is cut off."""
        self._refused += 1
        if self._refused > _REFUSED_MAX:
            self.cut_off("streams")
        else:
            self.reset_stream(stream)

    def call_at_end(self, function: Callable[[], None]) -> None:
        """Have ``function`` called when the connection has ended."""
        self._at_end.add(function)

    def forget_at_end(self, function: Callable[[], None]) -> None:
        """Do not call it any more."""
        self._at_end.discard(function)

    def cut_off(self, refusal: str) -> None:
        """Close at once, because of what the peer did."""
        self.refusal = self.refusal or refusal
        self.abort()

    def abort(self) -> None:
        """Close at once, dropping what was not sent; never waits."""
        self._carrier.abort()

    async def finish(self, limit_s: float) -> None:
        """Let what was written arrive, for up to ``limit_s``, then close."""
        self._carrier.finish()
        with trio.CancelScope(shield=True), trio.move_on_after(limit_s):
            await self.ended.wait()
        self.abort()

    async def _propose(self, stream: Stream, protocol: str) -> None:
        try:
            await multistream.propose(stream, protocol)
        except BaseException:
            self.reset_stream(stream)
            raise

    async def _run_muxer(self, nursery: trio.Nursery) -> None:
        try:
            await self._muxer.start()
        except Exception:  # noqa: BLE001 - what libp2p raises here must not end the host
            _log.warning("connection to %s failed", self.remote_id, exc_info=True)
        finally:
            self.abort()
            self.ended.set()
            # If it never started, nobody shall wait for that.
            self._muxer.event_started.set()
            for function in list(self._at_end):
                function()
            nursery.cancel_scope.deadline = trio.current_time() + HANDLER_GRACE_S

    async def _accept(
        self,
        nursery: trio.Nursery,
        accepted: Callable[["Connection", Stream], Awaitable[None]],
        max_streams: int,
        first_stream_s: float,
    ) -> None:
        limit_s = first_stream_s
        while True:
            try:
                with trio.fail_after(limit_s):
                    stream = await self._muxer.accept_stream()
            except MuxedConnUnavailable:
                return
            except trio.TooSlowError:
                _log.debug("%s opened no stream", self.remote_id)
                self.cut_off("no_stream")
                return
            limit_s = math.inf
            if len(self._muxer.streams) > max_streams:
                _log.warning("%s opened more than %d streams", self.remote_id, max_streams)
                self.cut_off("streams")
                return
            assert isinstance(stream, Stream), "patches.py replaces the stream class"
            nursery.start_soon(accepted, self, stream)
