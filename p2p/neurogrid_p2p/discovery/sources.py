"""The places where peers are looked for and announced, each behind the same two questions."""

from collections.abc import Callable
from typing import Protocol

from neurogrid_marketplace.advert import meeting_place, provider_key

from ..host import Host
from . import dht_lookup, rendezvous
from .dht_node import DhtNode
from .kademlia import Table
from .peers import Peer, Scope, peer_at

# Nodes of a DHT forget records after a day or two, and come and go meanwhile.
_PROVIDE_AGAIN_S = 3600.0


class Source(Protocol):
    """One place."""

    @property
    def name(self) -> str:
        """For people: ``dht``, ``rendezvous`` or ``mdns``."""

    @property
    def scope(self) -> Scope:
        """Which addresses are dialled that were heard of there, and announced there."""

    async def announce(self, us: Peer) -> float:
        """Be found there; returns after how many seconds to do it again.

        Raises:
            P2pError: it is away, or refuses.
        """

    async def find(self, found: Callable[[Peer], None]) -> None:
        """Call ``found`` with each peer that was announced there, as far as it can be seen now.

        Raises:
            P2pError: it is away, or refuses.
        """

    async def close(self) -> None:
        """Let go of what is held."""


class Rendezvous:
    """One rendezvous point."""

    name = "rendezvous"

    def __init__(self, host: Host, point: str, network: str, scope: Scope) -> None:
        self._host = host
        self._point = point
        self._place = meeting_place(network)
        self.scope = scope

    async def announce(self, us: Peer) -> float:
        """See `Source`."""
        return await rendezvous.register(self._host, self._point, self._place, us)

    async def find(self, found: Callable[[Peer], None]) -> None:
        """See `Source`."""
        for peer in await rendezvous.discover(self._host, self._point, self._place, self.scope):
            found(peer)

    async def close(self) -> None:
        """See `Source`."""


class OwnPoint:
    """The rendezvous point that we are ourselves: who asks it shall find us, too."""

    name = "rendezvous"

    def __init__(self, host: Host, point: rendezvous.RendezvousPoint, network: str) -> None:
        self.scope = point.scope
        self._keys = host.key_pair
        self._point = point
        self._place = meeting_place(network)

    async def announce(self, us: Peer) -> float:
        """See `Source`."""
        self._point.keep(self._place, self._keys, us)
        return rendezvous.LIFETIME_S / 2

    async def find(self, found: Callable[[Peer], None]) -> None:
        """See `Source`. Whoever serves others looks for nobody."""

    async def close(self) -> None:
        """See `Source`."""


class Dht:
    """A DHT, entered by the nodes that the owner has named.

    Args:
        bootstrap: their addresses.
        table: of nodes that have answered; where ours is a node too, shared with it.
        node: ours, or None where we are a client only.
    """

    name = "dht"

    def __init__(
        self,
        host: Host,
        bootstrap: tuple[str, ...],
        network: str,
        scope: Scope,
        table: Table,
        node: DhtNode | None,
    ) -> None:
        self._host = host
        self._bootstrap = tuple(peer_at(address) for address in bootstrap)
        self._key = provider_key(network)
        self.scope = scope
        self._table = table
        self._node = node

    async def announce(self, us: Peer) -> float:
        """See `Source`."""
        if self._node is not None:
            self._node.keep(self._key, us)
            if not self._start():
                return _PROVIDE_AGAIN_S  # we are the first node
        await dht_lookup.provide(self._host, self._table, self.scope, self._start(), self._key, us)
        return _PROVIDE_AGAIN_S

    async def find(self, found: Callable[[Peer], None]) -> None:
        """See `Source`."""
        if self._node is not None:
            for peer in self._node.providers(self._key):
                found(peer)
            if not self._start():
                return
        for peer in await dht_lookup.providers(
            self._host, self._table, self.scope, self._start(), self._key
        ):
            found(peer)

    async def close(self) -> None:
        """See `Source`."""

    def _start(self) -> tuple[Peer, ...]:
        """Where a walk begins: the owner's nodes always, so that no table can keep us from them."""
        return (*self._bootstrap, *self._table.nearest(self._key))
