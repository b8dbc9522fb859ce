"""Walking a DHT as a client: to the peers nearest to a key, asking or telling them who provides it."""

from collections.abc import Sequence
from contextlib import suppress

import trio

from .. import circuit
from .._libp2p import ConnectionClosedError, MuxedStreamError
from ..connection import Connection
from ..errors import HandshakeFailed, P2pError
from ..host import Host
from .exchange import EXCHANGE_LIMIT_S, tell
from .kademlia import CLOSEST, KADEMLIA, DhtMessage, Kind, Table, ask_peer, nearest
from .peers import Peer, Scope

# Kademlia's alpha: peers that are asked at the same time.
_AT_ONCE = 4
# A walk takes some log2(peers / k) steps; whoever leads us further is not leading us anywhere.
_QUESTIONS_MAX = 64
_CANDIDATES_MAX = 512
_WALK_LIMIT_S = 120.0
# Providers that one walk brings home.
PROVIDERS_MAX = 64
_READ_BYTES = 4096


class Walk:
    """One walk towards a key. Made and done by `run`.

    Attributes:
        providers: of the key, by id.
        reached: peers that have answered, by id.
        failure: why the last one that did not answer did not; "" while all have.
    """

    def __init__(self, host: Host, table: Table, scope: Scope, kind: Kind, key: bytes) -> None:
        self.providers: dict[str, Peer] = {}
        self.reached: dict[str, Peer] = {}
        self.failure = ""
        self._host = host
        self._table = table
        self._scope = scope
        self._question = DhtMessage(kind, key)
        self._candidates: dict[str, Peer] = {}
        self._asked: set[str] = set()

    async def run(self, start: Sequence[Peer]) -> None:
        """Ask nearer and nearer peers until the nearest have all answered, or enough has been asked."""
        self._heard(start)
        with trio.move_on_after(_WALK_LIMIT_S):
            while (peers := self._next()) and len(self._asked) < _QUESTIONS_MAX:
                async with trio.open_nursery() as nursery:
                    for peer in peers:
                        self._asked.add(peer.peer_id)
                        nursery.start_soon(self._ask, peer)

    @property
    def closest(self) -> list[Peer]:
        """Of those that have answered, the ones that keep the key's records."""
        return nearest(self._question.key, self.reached.values())[:CLOSEST]

    def _next(self) -> list[Peer]:
        """Whom to ask now: of the nearest, those that have not been asked."""
        close = nearest(self._question.key, self._candidates.values())[:CLOSEST]
        return [peer for peer in close if peer.peer_id not in self._asked][:_AT_ONCE]

    async def _ask(self, peer: Peer) -> None:
        try:
            answer = await ask_peer(self._host, peer, self._question, self._scope)
        except P2pError as error:
            self.failure = str(error)
            self._candidates.pop(peer.peer_id, None)
            self._table.failed(peer.peer_id)
            return
        self.reached[peer.peer_id] = peer
        self._table.answered(peer)
        self._heard(answer.closer)
        for provider in answer.providers:
            if len(self.providers) < PROVIDERS_MAX:
                self.providers.setdefault(provider.peer_id, provider)

    def _heard(self, peers: Sequence[Peer]) -> None:
        for peer in peers:
            if peer.peer_id == self._host.peer_id or peer.peer_id in self._asked:
                continue
            if len(self._candidates) < _CANDIDATES_MAX:
                self._candidates.setdefault(peer.peer_id, peer)


async def provide(
    host: Host, table: Table, scope: Scope, start: Sequence[Peer], key: bytes, us: Peer
) -> int:
    """Have the peers nearest to ``key`` keep that we provide it; returns how many were told.

    Raises:
        P2pError: none could be.
    """
    walk = Walk(host, table, scope, Kind.FIND_NODE, key)
    await walk.run(start)
    record = DhtMessage(Kind.ADD_PROVIDER, key, providers=(us,))
    told = 0

    async def tell_one(peer: Peer) -> None:
        nonlocal told
        for address in peer.addresses[:1]:
            with suppress(P2pError, trio.TooSlowError):
                with trio.fail_after(EXCHANGE_LIMIT_S):
                    connection = await host.connect(str(address))
                    try:
                        await _tell(connection, record)
                    finally:
                        connection.abort()
                told += 1

    async with trio.open_nursery() as nursery:
        for peer in walk.closest:
            nursery.start_soon(tell_one, peer)
    if not told:
        raise HandshakeFailed(f"no node of the DHT was reached: {walk.failure or 'none is known'}")
    return told


async def providers(
    host: Host, table: Table, scope: Scope, start: Sequence[Peer], key: bytes
) -> tuple[Peer, ...]:
    """Who provides a key, as far as the nodes nearest to it say.

    Raises:
        P2pError: none was reached.
    """
    walk = Walk(host, table, scope, Kind.GET_PROVIDERS, key)
    await walk.run(start)
    if not walk.reached:
        raise HandshakeFailed(f"no node of the DHT was reached: {walk.failure or 'none is known'}")
    return tuple(walk.providers.values())


async def _tell(connection: Connection, record: DhtMessage) -> None:
    """Nothing has to be answered to this; that the other end closes, too, is how we know that it was read.

    Raises:
        HandshakeFailed: the stream broke.
    """
    stream = await connection.open_stream(KADEMLIA)
    await tell(stream, record.to_bytes())
    await circuit.close(stream)
    try:
        while await stream.read(_READ_BYTES):
            pass
    except (MuxedStreamError, ConnectionClosedError) as error:
        raise HandshakeFailed(str(error) or "the stream is over") from error
