"""The market process: puts its parts together and runs until the api is gone."""

import json
import logging
import resource
import signal
import socket
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import trio

from neurogrid_marketplace import __version__
from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.identity import peer_id_of
from neurogrid_marketplace.job_stream import JOB_STREAM_PROTOCOL_ID, USE_STREAM_PROTOCOL_ID
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Accept,
    Award,
    Deny,
    Message,
    parse_body,
)
from neurogrid_marketplace.sealing import Commit
from neurogrid_marketplace.spreading import Barred
from neurogrid_p2p.address import through_relay
from neurogrid_p2p.byte_stream import ByteStream
from neurogrid_p2p.channel import Channel
from neurogrid_p2p.errors import ChannelClosed
from neurogrid_p2p.host import Host, open_host
from neurogrid_p2p.orphans import die_with
from neurogrid_p2p.peer_lists import PeerLists
from neurogrid_p2p.relay import Relay
from neurogrid_p2p.relay_reservation import RelayReservations
from neurogrid_p2p.session import Party
from neurogrid_telemetry.logs import start_logging
from neurogrid_wallet.keys import KeyPair

from .announcing import Announcer
from .auctioneer import Auctioneer
from .credits import Credits
from .dialled import DialledNodes
from .directory import Directory
from .door import ApiGone, Door
from .files import FileDoor
from .job_streams import JOB_STREAMS_MAX, JobStreams
from .lane import take_sockets
from .leases import Leases
from .mailboxes import STREAMS_MAX, Mailboxes
from .network import Network, NodeMessage, host_limits
from .price_desk import PriceDesk
from .reports import NodeView, Traffic, auction_to_wire, award_to_wire
from .rpc import CallFailed, Frame, SocketWanted
from .settings import MarketSettings

# Messages of one lane (a lease, or the rest of a node) that the api has not dealt with yet; then that
# stream is not read.
MESSAGE_CREDIT = 64
# Files beside the connections: modules while they load, listeners, the socket to the api.
_OTHER_FILES = 256

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the child. Only `client.MarketClient` starts it.

    Args:
        arguments: the descriptors of the socket and of the one that passes sockets on, the parent's
            process id, the settings as JSON.
    """
    descriptor, lane_descriptor, parent_pid, settings_json = arguments
    die_with(int(parent_pid))  # where that can't be asked for, the end of the socket has to do
    # Ctrl-C reaches the whole process group; it is the api that decides what then ends, and when.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    settings = decode(MarketSettings, json.loads(settings_json))
    start_logging(settings.log)
    relayed = settings.relay.reservations + settings.relay.circuits if settings.relay else 0
    _allow_files(2 * settings.limits.nodes + relayed + JOB_STREAMS_MAX + STREAMS_MAX + _OTHER_FILES)
    door = socket.socket(fileno=int(descriptor))
    lane = socket.socket(fileno=int(lane_descriptor))
    try:
        trio.run(_run, settings, door, lane)
    except* ApiGone:
        _log.info("the api is gone")
    return 0


def _allow_files(files: int) -> None:
    """Raise the limit of open files, if it is lower and may be raised."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if hard == resource.RLIM_INFINITY else min(files, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < files:
        _log.warning("%d open files are allowed; so many nodes may need %d", wanted, files)


async def _run(settings: MarketSettings, door_socket: socket.socket, lane: socket.socket) -> None:
    keys = KeyPair.read_solana_file(Path(settings.key_file))
    party = Party(
        peer_id=peer_id_of(keys.public_key),
        network=settings.network,
        sign=keys.sign,
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    limits = host_limits(settings.limits)
    if settings.relay is not None:
        limits = settings.relay.beside(limits)
    async with (
        open_host(keys.seed, settings.listen, limits) as host,
        trio.open_nursery() as nursery,
    ):
        if settings.relay is not None:
            Relay(host, settings.relay)
        if settings.relays:
            nursery.start_soon(RelayReservations(host, settings.relays).run)
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(door_socket))
        market = Market(party, settings, stream)
        if settings.announcement is not None:
            # Its process talks to strangers, and knows no key but this one.
            seed = keys.derive(b"discovery").seed
            announcer = Announcer(
                party,
                host,
                settings.relays,
                settings.announcement,
                seed,
                market.announced,
                settings.log.beside("discovery"),
            )
            nursery.start_soon(announcer.run)
        if settings.files:
            FileDoor(settings.files, market.knows).serve_on(host)
        nursery.start_soon(take_sockets, lane, market.serve_socket)
        nursery.start_soon(DialledNodes(host, settings.dial, market.serve_node).run)
        await market.run(host)


class Market:
    """Everything of this process: routes what nodes say and what the api asks."""

    def __init__(self, party: Party, settings: MarketSettings, stream: trio.SocketStream) -> None:
        self._host: Host
        self._relays = settings.relays
        self._credits = Credits(MESSAGE_CREDIT)
        self._directory = Directory(settings.min_stake_micro_usdc)
        # Explanations that clients ask for; one at a time, so that they cannot take a whole core each.
        self._explaining = trio.CapacityLimiter(1)
        self._prices = PriceDesk()
        self._door = Door(
            stream,
            self._answer,
            self._credits.give_back,
            self._directory.stand,
            self._admit,
            self._prices.set,
        )
        self._network = Network(
            party,
            self._directory,
            settings.limits,
            self,
            f"neurogrid/{__version__}",
            settings.silence_s,
        )
        self._mailboxes = Mailboxes(self._network.serve, self._network.serve_lease)
        self._job_streams = JobStreams(self.open_bytes)
        self._auctioneer = Auctioneer(self._directory, self._network.send)
        self._leases = Leases(self._network.send)

    def knows(self, node_id: str) -> bool:
        """Whether a node is connected."""
        return node_id in self._directory

    async def open_bytes(self, node_id: str, protocol: str) -> ByteStream:
        """See `Network.open_bytes`."""
        return await self._network.open_bytes(node_id, protocol)

    async def serve_socket(self, wanted: SocketWanted, given: socket.socket) -> None:
        """What the api has given us a socket for, until its end."""
        if wanted.mailbox:
            await self._mailboxes.serve(wanted, given)
        else:
            protocol = USE_STREAM_PROTOCOL_ID if wanted.is_use else JOB_STREAM_PROTOCOL_ID
            await self._job_streams.serve(wanted.node_id, protocol, given)

    async def serve_node(self, channel: Channel) -> None:
        """Talk with a node on its control stream until either side ends it."""
        await self._network.serve(channel)

    async def run(self, host: Host) -> None:
        """Serve nodes and the api until the api is gone.

        Raises:
            ApiGone: in the end, inside an ExceptionGroup.
        """
        self._host = host
        host.serve(PROTOCOL_ID, self._network.serve)
        host.serve(LEASE_PROTOCOL_ID, self._network.serve_lease, owns_connection=False)
        self._prices.serve_on(host)
        await self._door.notify(
            "ready",
            peer_id=host.peer_id,
            addresses=host.addresses
            + tuple(through_relay(relay, host.peer_id) for relay in self._relays),
            listen=host.listen_addresses,
        )
        await self._door.run()

    async def announced(self, addresses: tuple[str, ...]) -> None:
        """The discovery process runs, and is reached there."""
        await self._door.notify("announced", addresses=addresses)

    async def node_joined(self, view: NodeView) -> None:
        """See `network.Listener`."""
        await self._door.notify("joined", view=plain(view))

    async def node_beat(self, view: NodeView) -> None:
        """See `network.Listener`. Only what a heartbeat changes travels: offers can be large."""
        await self._door.notify(
            "beat",
            node_id=view.offer.node_id,
            free=plain(view.offer.free),
            accepting=view.offer.accepting,
            reclaimable=plain(view.offer.reclaimable) if view.offer.reclaimable else None,
            leases=[plain(status) for status in view.leases],
            gpus=[plain(gpu) for gpu in view.gpus],
            last_heard_ms=view.last_heard_ms,
        )

    async def node_left(self, view: NodeView) -> None:
        """See `network.Listener`."""
        node_id = view.offer.node_id
        self._auctioneer.node_left(node_id)
        self._leases.node_left(node_id)
        await self._door.notify("left", node_id=node_id, last_heard_ms=view.last_heard_ms)

    async def received(self, node_id: str, envelope: Envelope, message: NodeMessage) -> None:
        """See `network.Listener`."""
        match message:
            case Bid():
                self._auctioneer.bid_received(node_id, envelope, message)
            case Commit():
                self._auctioneer.commit_received(node_id, envelope, message)
            case Decline():
                self._auctioneer.decline_received(node_id, message)
            case Accept() | Deny():
                if not self._leases.answer_received(node_id, envelope, message):
                    await self._forward(node_id, node_id, envelope)
            case _:
                await self._forward(f"{node_id}/{message.lease_id}", node_id, envelope)

    async def _forward(self, lane: str, node_id: str, envelope: Envelope) -> None:
        await self._credits.take(lane)
        if node_id not in self._directory:
            # It left while this waited; what is not acknowledged, it says again.
            self._credits.give_back(lane, 1)
            return
        await self._door.notify(
            "message",
            lane=lane,
            node_id=node_id,
            envelope=envelope.to_dict(),
            last_heard_ms=self._directory.last_heard_ms(node_id),
        )

    async def _answer(self, method: str, arguments: Frame) -> Frame:
        match method:
            case "ping":
                traffic = Traffic(
                    connections=self._host.connections,
                    lease_streams=self._network.lease_streams,
                    refused=self._host.refused,
                )
                return dict(plain(traffic))
            case "hold_auction":
                return auction_to_wire(
                    await self._auctioneer.hold(
                        decode(Demand, arguments["demand"]),
                        frozenset(decode(list[str], arguments["excluded"]))
                        | self._directory.suspended
                        | self._directory.understaked
                        | self._directory.owned_by(decode(list[str], arguments["owners_excluded"])),
                        self._directory.weights,
                        decode(Barred, arguments["places"]),
                    )
                )
            case "award":
                award = decode(Award, arguments["award"])
                return award_to_wire(
                    await self._leases.award(decode(str, arguments["node_id"]), award)
                )
            case "send":
                message = parse_body(decode(str, arguments["type"]), arguments["body"])
                is_last = decode(bool, arguments["is_last"])
                return await self._send(decode(str, arguments["node_id"]), message, is_last=is_last)
            case "explain":
                demand = decode(Demand, arguments["demand"])
                places = decode(Barred, arguments["places"])
                return dict(plain(await self._explain(demand, places)))
        raise CallFailed("unknown_method", method)

    def _admit(self, lists: PeerLists) -> None:
        self._host.admit(lists)
        self._mailboxes.admit(lists)

    async def _explain(self, demand: Demand, places: Barred) -> Explanation:
        # Among ten thousand nodes it takes a second, in which auctions go on.
        ask = partial(
            explain,
            self._directory.offers(),
            demand,
            standings=dict(self._directory.candidates.standings()),
            places=places,
        )
        return await trio.to_thread.run_sync(ask, limiter=self._explaining)

    async def _send(self, node_id: str, message: Message, *, is_last: bool) -> Frame:
        try:
            return dict((await self._network.send(node_id, message, is_last=is_last)).to_dict())
        except ChannelClosed as error:
            raise CallFailed("unreachable", str(error)) from error
