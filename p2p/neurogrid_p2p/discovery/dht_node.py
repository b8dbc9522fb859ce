"""Being a node of a DHT for others: keeping provider records, and naming peers that are nearer.

Everything lives in memory and is bounded; records come back because providers repeat them.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import trio

from .. import circuit
from ..connection import Connection
from ..errors import HandshakeFailed, P2pError
from ..host import Host
from ..patches import Stream
from .exchange import EXCHANGE_LIMIT_S, hear, tell
from .identify import identified
from .kademlia import KADEMLIA, DhtMessage, Kind, Table, ask_peer, read_message
from .peers import Peer, Scope

# How long a record is kept without being repeated. The specification's is 48 h.
RECORD_S = 48 * 3600
# Records that are kept, in all, and that came from one IP address.
RECORDS_MAX = 4096
RECORDS_PER_HOST = 32
# Providers that are named in an answer; the newest.
_NAMED_MAX = 32
_KEY_MAX_BYTES = 128
# Questions that one stream may ask.
_QUESTIONS_MAX = 64
# Strangers that say that they are nodes, too, and wait to be called; how many are called at once, how long
# they may take to say so, and how long one that has been noticed is left in peace.
_STRANGERS_WAITING = 32
_IDENTIFY_LIMIT_S = 5.0
_STRANGERS_AT_ONCE = 4
_STRANGER_PEACE_S = 600.0
_STRANGERS_KEPT = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Record:
    provider: Peer
    host: str
    ends_s: float


class DhtNode:
    """The service of a host; it serves from its construction on, and grows its table while `run` runs.

    Args:
        table: filled by what is asked of us, and by our own walks.
        now_s: any clock that only goes forward.
    """

    def __init__(
        self,
        host: Host,
        table: Table,
        scope: Scope,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._table = table
        self._scope = scope
        self._now_s = now_s
        # By key and provider, the oldest first.
        self._records: dict[tuple[bytes, str], _Record] = {}
        self._strangers: dict[str, float] = {}
        self._meet, self._met = trio.open_memory_channel[Peer](_STRANGERS_WAITING)
        host.serve_streams(KADEMLIA, self._asked)

    def __len__(self) -> int:
        self._forget_ended()
        return len(self._records)

    def keep(self, key: bytes, provider: Peer, host: str = "") -> bool:
        """Keep a record; whether there was room for it.

        Args:
            host: the IP address that it came from; "" for our own.
        """
        self._forget_ended()
        here = sum(record.host == host for record in self._records.values())
        is_new = self._records.pop((key, provider.peer_id), None) is None
        if is_new and (len(self._records) >= RECORDS_MAX or here >= RECORDS_PER_HOST):
            return False
        self._records[key, provider.peer_id] = _Record(provider, host, self._now_s() + RECORD_S)
        return True

    def providers(self, key: bytes) -> tuple[Peer, ...]:
        """Who provides a key, the newest first."""
        self._forget_ended()
        found = [each.provider for (of, _), each in self._records.items() if of == key]
        return tuple(reversed(found[-_NAMED_MAX:]))

    async def run(self) -> None:
        """Find out which of those that ask us are nodes themselves."""
        async with trio.open_nursery() as nursery:
            for _ in range(_STRANGERS_AT_ONCE):
                nursery.start_soon(self._meet_strangers)

    async def _asked(self, connection: Connection, stream: Stream) -> None:
        await self._notice(connection)
        try:
            for _ in range(_QUESTIONS_MAX):
                with trio.fail_after(EXCHANGE_LIMIT_S):
                    try:
                        data = await hear(stream)
                    except HandshakeFailed:
                        break  # it has no more questions
                    answer = self._answer(connection, read_message(data, self._scope))
                    if answer is not None:
                        await tell(stream, answer.to_bytes())
        except trio.TooSlowError:
            raise HandshakeFailed("asked the DHT node for nothing") from None
        await circuit.close(stream)

    def _answer(self, connection: Connection, question: DhtMessage) -> DhtMessage | None:
        key = question.key
        if len(key) > _KEY_MAX_BYTES:
            raise HandshakeFailed("asked the DHT node for a key that is too long")
        closer = tuple(
            peer for peer in self._table.nearest(key) if peer.peer_id != connection.remote_id
        )
        match question.kind:
            case Kind.PING:
                return DhtMessage(Kind.PING)
            case Kind.FIND_NODE:
                return DhtMessage(Kind.FIND_NODE, key, closer)
            case Kind.GET_PROVIDERS:
                return DhtMessage(Kind.GET_PROVIDERS, key, closer, self.providers(key))
            case Kind.ADD_PROVIDER:
                for provider in question.providers:
                    # Of others nobody may speak.
                    if provider.peer_id == connection.remote_id and key:
                        self.keep(key, provider, connection.remote_host)
                return None
        raise HandshakeFailed("asked the DHT node for something that it does not keep")

    async def _notice(self, connection: Connection) -> None:
        """Somebody asks us something for the first time, and may be a node, too.

        It is asked before it gets its answer: many leave as soon as they have that.
        """
        peer_id, now_s = connection.remote_id, self._now_s()
        for known, until_s in list(self._strangers.items()):
            if until_s <= now_s:
                del self._strangers[known]
        if peer_id in self._strangers or len(self._strangers) >= _STRANGERS_KEPT:
            return
        self._strangers[peer_id] = now_s + _STRANGER_PEACE_S
        try:
            with trio.fail_after(_IDENTIFY_LIMIT_S):
                peer, protocols = await identified(connection, self._scope)
        except (P2pError, trio.TooSlowError) as error:
            _log.debug("%s does not say what it is: %s", peer_id, error)
            return
        if peer is not None and KADEMLIA in protocols:
            with suppress(trio.WouldBlock):  # it will ask again
                self._meet.send_nowait(peer)

    async def _meet_strangers(self) -> None:
        async for peer in self._met:
            try:
                # Their word alone would fill the table with whatever they like.
                await ask_peer(self._host, peer, DhtMessage(Kind.PING), self._scope)
            except P2pError as error:
                _log.debug("%s is no node of the DHT: %s", peer.peer_id, error)
                continue
            self._table.answered(peer)

    def _forget_ended(self) -> None:
        now_s = self._now_s()
        for key, record in list(self._records.items()):
            if record.ends_s <= now_s:
                del self._records[key]
