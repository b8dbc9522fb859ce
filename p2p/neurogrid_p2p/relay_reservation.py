"""Being reachable through relays: our side of reservations, and of circuits that others open to us."""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from .address import through_relay
from .circuit import (
    HOP,
    STOP,
    CircuitStream,
    HopMessage,
    Status,
    StopMessage,
    receive,
    send,
    status_name,
)
from .connection import Connection
from .errors import HandshakeFailed, P2pError
from .host import Host
from .limits import HANDSHAKE_LIMIT_S
from .patches import Stream

# A renewal is a small message. So often it also keeps a NAT's mapping alive (RFC 5382: two minutes and
# more, but some forget after one), and finds a relay that is gone without a word.
RENEW_S = 30.0
# What we let a relay open to us at a time. It is one that we chose, and has its own, lower bounds.
MAX_CIRCUITS = 256
_BACKOFF_FIRST_S = 0.5
_BACKOFF_MAX_S = 30.0

_log = logging.getLogger(__name__)


class RelayReservations:
    """Keeps a host reachable through relays, as long as `run` runs.

    Args:
        host: ours.
        relays: their addresses, each with its /p2p/ peer id; `through` adds others for a while.
        changed: called after `addresses` has changed.
    """

    def __init__(
        self,
        host: Host,
        relays: tuple[str, ...],
        changed: Callable[[], None] = lambda: None,
        renew_s: float = RENEW_S,
    ) -> None:
        self._host = host
        self._wanted = Counter(relays)
        self._keepers: dict[str, trio.CancelScope] = {}
        self._nursery: trio.Nursery | None = None
        self._changed = changed
        self._renew_s = renew_s
        # Only over these may somebody call us: who else claims to relay is a stranger.
        self._open: dict[Connection, str] = {}
        host.serve_streams(STOP, self._called)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us now, through relays."""
        return tuple(
            through_relay(relay, self._host.peer_id) for relay in sorted(set(self._open.values()))
        )

    async def run(self) -> None:
        """Keep the reservations for ever."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                for relay in self._wanted:
                    self._begin(nursery, relay)
                await trio.sleep_forever()
        finally:
            self._nursery = None

    @contextmanager
    def through(self, relay: str) -> Iterator[None]:
        """Be reachable through a relay until the block ends; several may ask for the same."""
        self._wanted[relay] += 1
        if self._nursery is not None and self._wanted[relay] == 1:
            self._begin(self._nursery, relay)
        try:
            yield
        finally:
            self._wanted[relay] -= 1
            if not self._wanted[relay]:
                del self._wanted[relay]
                if relay in self._keepers:
                    self._keepers.pop(relay).cancel()

    def _begin(self, nursery: trio.Nursery, relay: str) -> None:
        scope = self._keepers[relay] = trio.CancelScope()
        nursery.start_soon(self._keep, relay, scope)

    async def _keep(self, relay: str, scope: trio.CancelScope) -> None:
        with scope:
            await self._keep_on(relay)

    async def _keep_on(self, relay: str) -> None:
        backoff_s = _BACKOFF_FIRST_S
        said = ""
        while True:
            try:
                connection = await self._host.connect(relay, max_streams=MAX_CIRCUITS)
                try:
                    with trio.fail_after(HANDSHAKE_LIMIT_S):
                        await _reserve(connection)
                    _log.info("reachable through %s", relay)
                    backoff_s, said = _BACKOFF_FIRST_S, ""
                    await self._renew(connection, relay)
                finally:
                    connection.abort()
                reason = "it went away"
            except (P2pError, trio.TooSlowError) as error:
                reason = str(error) or "no answer"
            if reason != said:
                # Once: a relay that is away for a day is one line.
                said = reason
                _log.warning("relay %s: %s; trying again", relay, reason)
            await trio.sleep(random.uniform(backoff_s / 2, backoff_s))
            backoff_s = min(backoff_s * 2, _BACKOFF_MAX_S)

    async def _renew(self, connection: Connection, relay: str) -> None:
        """Renew until the connection ends.

        Raises:
            HandshakeFailed, TooSlowError: the relay refuses, or no longer answers.
        """
        self._open[connection] = relay
        self._changed()
        try:
            while not connection.ended.is_set():
                with trio.move_on_after(self._renew_s):
                    await connection.ended.wait()
                    return
                with trio.fail_after(HANDSHAKE_LIMIT_S):
                    await _reserve(connection)
        finally:
            del self._open[connection]
            self._changed()

    async def _called(self, connection: Connection, stream: Stream) -> None:
        """Somebody opens a circuit to us."""
        if connection not in self._open:
            connection.abort()
            raise HandshakeFailed("opened a circuit where we have no reservation")
        try:
            with trio.fail_after(HANDSHAKE_LIMIT_S):
                message = await receive(stream, StopMessage)
        except trio.TooSlowError:
            raise HandshakeFailed("opened a circuit for nobody") from None
        if message.type != StopMessage.CONNECT:
            raise HandshakeFailed("said something else than that somebody calls")
        await send(stream, StopMessage(type=StopMessage.STATUS, status=Status.OK))
        await self._host.accept(CircuitStream(stream, connection, owned=False))


async def _reserve(connection: Connection) -> None:
    """Ask for a reservation, or for more time.

    Raises:
        HandshakeFailed: refused.
    """
    stream = await connection.open_stream(HOP)
    try:
        await send(stream, HopMessage(type=HopMessage.RESERVE))
        answer = await receive(stream, HopMessage)
        if answer.type != HopMessage.STATUS or answer.status != Status.OK:
            raise HandshakeFailed(f"it gives no reservation: {status_name(answer.status)}")
    finally:
        with trio.CancelScope(shield=True):
            await stream.discard()
