"""The discovery process: looks for peers that carry adverts, is found by others, and tells its parent.

It talks to strangers and parses what they send, so it holds no key that matters, has little memory, and may die at
any time. Lines of JSON come in on standard input and go out on standard output; at the end of the first it ends.
"""

import logging
import os
import random
import resource
import signal
import time
from dataclasses import replace

import trio

from neurogrid_marketplace import __version__
from neurogrid_marketplace.fields import MAX_TEXT_CHARS
from neurogrid_telemetry.logs import start_logging

from ..address import parse_address
from ..errors import AddressInvalid, HandshakeFailed, P2pError
from ..host import Host, open_host
from ..limits import Limits
from ..orphans import die_with
from .dht_node import DhtNode
from .herald import Herald, adverts_at
from .identify import Identify
from .kademlia import Table
from .lines import (
    ALIVE_INTERVAL_S,
    Alive,
    Carry,
    Found,
    Lines,
    Looked,
    Ready,
    Report,
    Useless,
    to_line,
)
from .peers import ADDRESSES_MAX, Peer, Scope, reached_at
from .ping import answer_pings
from .rendezvous import RendezvousPoint
from .settings import Settings
from .sources import Dht, OwnPoint, Rendezvous, Source

# All that it may allocate. Its modules and its threads' stacks take some 150 MiB of it.
MEMORY_BYTES = 768 * 1024**2
LIMITS = Limits(
    connections=256,
    # Each question is a connection, and the one before may not be over yet.
    connections_per_peer=16,
    connections_per_host=64,
    connections_per_network=128,
    handshakes_per_network=64,
    streams_per_connection=8,
)
# Peers of one round that are asked for adverts, and how many of all rounds at a time.
_PEERS_MAX = 32
_FETCHES = 8
# Addresses of one peer that are tried.
_TRIES = 3
# A source that fails is tried again after this, doubled up to the second each time.
_RETRY_FIRST_S = 2.0
_RETRY_MAX_S = 300.0

_log = logging.getLogger(__name__)


def main() -> int:
    """Run the process. Only `child.Discovery` starts it."""
    # What anything else prints must not get between our lines.
    out = os.dup(1)
    os.dup2(2, 1)
    # Ctrl-C reaches the whole process group; the parent decides what then ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 0
    try:
        trio.run(_run, out)
    except* (OSError, AddressInvalid) as group:
        # A port that is taken, or none of ours: one line, until the owner has mended it.
        _log.error("cannot listen: %s", "; ".join(map(str, _leaves(group))))
        code = 1
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


async def _run(out: int) -> None:
    async with trio.lowlevel.FdStream(out) as output, trio.lowlevel.FdStream(os.dup(0)) as orders:
        lines = Lines(orders)
        settings = await lines.next()
        if not isinstance(settings, Settings):
            return  # the parent died before it said anything
        if settings.parent_pid:
            die_with(settings.parent_pid)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
        start_logging(settings.log)
        await serve(settings, lines, output)


async def serve(settings: Settings, orders: Lines, output: trio.abc.SendStream) -> None:
    """Be a discovery process, until the orders end."""
    async with (
        open_host(bytes.fromhex(settings.seed), settings.listen, LIMITS) as host,
        trio.open_nursery() as nursery,
    ):
        finder = Finder(settings, host, output)
        await finder.say(Ready(host.peer_id, finder.addresses, host.listen_addresses))
        nursery.start_soon(finder.run)
        await finder.obey(orders)
        nursery.cancel_scope.cancel()


class Finder:
    """Everything of this process."""

    def __init__(self, settings: Settings, host: Host, output: trio.abc.SendStream) -> None:
        self._settings = settings
        self._host = host
        self._output = output
        self._saying = trio.Lock()
        self._fetching = trio.CapacityLimiter(_FETCHES)
        self._herald = Herald(host)
        self._carries = trio.Event()
        self._scope = Scope(private=settings.private)
        table = Table(host.peer_id)
        Identify(host, lambda: self._us(self._scope), f"neurogrid/{__version__}")
        answer_pings(host)
        self._node: DhtNode | None = None
        self._sources: list[Source] = [
            Rendezvous(host, place, settings.network, self._scope) for place in settings.rendezvous
        ]
        if settings.serve:
            point = RendezvousPoint(host, self._scope)
            self._sources.append(OwnPoint(host, point, settings.network))
            self._node = DhtNode(host, table, self._scope)
        if settings.dht or self._node is not None:
            self._sources.append(
                Dht(host, settings.dht, settings.network, self._scope, table, self._node)
            )
        if settings.mdns:
            # Here, because zeroconf is only loaded where it is wanted.
            from .mdns import Mdns

            scope = replace(self._scope, on_lan=True)
            self._sources.append(Mdns(scope, settings.mdns_interfaces))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where others reach us, those on our own networks included."""
        return reached_at(self._host, self._settings.hosts)

    def _us(self, scope: Scope) -> Peer:
        addresses = map(parse_address, self.addresses)
        taken = tuple(address for address in addresses if scope.takes(address))
        return Peer(self._host.peer_id, taken[:ADDRESSES_MAX])

    async def run(self) -> None:
        """Look and announce for ever."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._show_life)
                if self._node is not None:
                    nursery.start_soon(self._node.run)
                for source in self._sources:
                    if self._settings.listen:
                        nursery.start_soon(self._keep_announced, source)
                    if self._settings.find:
                        nursery.start_soon(self._keep_looking, source)
        finally:
            for source in self._sources:
                await source.close()

    async def obey(self, orders: Lines) -> None:
        """Do what the parent says, until it is gone."""
        while order := await orders.next():
            if isinstance(order, Carry):
                self._herald.adverts = order.adverts
                if order.adverts:
                    self._carries.set()

    async def say(self, report: Report) -> None:
        """Tell the parent."""
        async with self._saying:
            try:
                await self._output.send_all(to_line(report))
            except trio.BrokenResourceError:
                _log.debug("the parent is gone")

    async def _show_life(self) -> None:
        while True:
            await self.say(Alive(self._host.connections))
            await trio.sleep(ALIVE_INTERVAL_S)

    async def _keep_announced(self, source: Source) -> None:
        await self._carries.wait()  # who has nothing to hand out shall not be found
        retry_s = _RETRY_FIRST_S
        while True:
            problem = ""
            us = self._us(source.scope)
            try:
                if not us.addresses:
                    raise HandshakeFailed("no address of ours is one that others dial: set hosts")
                again_s = await source.announce(us)
                retry_s = _RETRY_FIRST_S
            except P2pError as error:
                problem, again_s = str(error), retry_s
                retry_s = min(2 * retry_s, _RETRY_MAX_S)
            await self.say(Looked(source.name, "announce", 0, problem[:MAX_TEXT_CHARS]))
            await trio.sleep(random.uniform(again_s / 2, again_s))

    async def _keep_looking(self, source: Source) -> None:
        retry_s = _RETRY_FIRST_S
        while True:
            problem, named = "", dict[str, Peer]()

            def found(peer: Peer, named: dict[str, Peer] = named) -> None:
                if peer.peer_id != self._host.peer_id:
                    named[peer.peer_id] = peer

            try:
                await source.find(found)
            except P2pError as error:
                problem = str(error)
            # A crowd of strangers gets a sample of our time, another one in each round.
            chosen = random.sample(list(named.values()), min(len(named), _PEERS_MAX))
            async with trio.open_nursery() as nursery:
                for peer in chosen:
                    nursery.start_soon(self._fetch, source, peer)
            await self.say(Looked(source.name, "find", len(named), problem[:MAX_TEXT_CHARS]))
            # Nobody there is often only a coordinator that starts later than we do.
            again_s = float(self._settings.interval_s) if named else retry_s
            retry_s = _RETRY_FIRST_S if named else min(2 * retry_s, self._settings.interval_s)
            await trio.sleep(random.uniform(again_s / 2, again_s))

    async def _fetch(self, source: Source, peer: Peer) -> None:
        """Ask a peer for adverts, at one of its addresses after the other."""
        problem, herald = "it has no address", ""
        async with self._fetching:
            for address in peer.addresses[:_TRIES]:
                herald = str(address)
                try:
                    adverts = await adverts_at(
                        self._host, herald, self._settings.network, time.time_ns() // 1_000_000
                    )
                except P2pError as error:
                    problem = str(error)
                    continue
                for advert in adverts:
                    await self.say(Found(source.name, herald, advert))
                return
        await self.say(Useless(source.name, herald, problem[:MAX_TEXT_CHARS]))
