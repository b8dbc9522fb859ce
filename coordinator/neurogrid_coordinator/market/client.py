"""The api's door to the market process: starts it, talks to it, starts it again when it dies.

    async with MarketClient(settings, on_message, on_node) as market:
        report = await market.hold_auction(demand, excluded=())

While the child is away (it takes about two seconds to start) calls raise `MarketAway`: try again. What
nodes say arrives through the two callbacks: in order for each lease, and for what else a node says; different
leases and nodes concurrently. While a callback is slow, nothing else waits.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self

from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, parse_envelope
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.fields import decode, plain
from neurogrid_marketplace.messages import Award, Message, to_body, type_name
from neurogrid_marketplace.offer import LeaseStatus, Offer
from neurogrid_marketplace.orchestration import AWARD_ANSWER_MS
from neurogrid_marketplace.price_sheet import PriceSheet
from neurogrid_marketplace.resources import Capacity
from neurogrid_marketplace.spreading import NOBODY, Barred
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.usage import GpuUse
from neurogrid_p2p.peer_lists import PeerLists
from neurogrid_telemetry.log_lines import named

from ..log_events import CoordinatorEvent
from .child import Child
from .deliveries import Deliveries, OnMessage, OnNode
from .errors import MarketAway, MarketBug, NodeUnreachable
from .job_stream import JobStream
from .reports import (
    AuctionReport,
    AwardReport,
    NodeView,
    Traffic,
    auction_from_wire,
    award_from_wire,
)
from .rpc import CallFailed, Frame, SocketWanted
from .settings import MarketSettings

# What a call may take beyond what it waits for by design.
_CALL_LIMIT_S = 10.0
_RESTART_PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0)
# A child that has lived for so long was fine: the next pause is the shortest again.
_HEALTHY_S = 10.0

_log = logging.getLogger(__name__)


class MarketClient:
    """The market, from the api's side.

    Args:
        settings: for the child.
        on_message: called with what a node said about its leases: resume, event, meter, log,
            claimed, and accept or deny that nobody waited for (any more).
        on_node: called when a node joins (also: reconnects, or says a new hello), beats, or
            leaves. Of changes that wait, only the latest is told.
    """

    def __init__(self, settings: MarketSettings, on_message: OnMessage, on_node: OnNode) -> None:
        self._settings = settings
        self._child: Child | None = None
        self._lists = PeerLists()
        self._sheet: PriceSheet | None = None
        self._nodes: dict[str, NodeView] = {}
        self._deliveries = Deliveries(on_message, on_node)
        self._supervisor: asyncio.Task[None] | None = None
        self._peer_id = ""
        self._addresses: tuple[str, ...] = ()
        self._discovery_addresses: tuple[str, ...] = ()

    async def __aenter__(self) -> Self:
        """Start the child.

        Raises:
            MarketAway: it cannot be started.
        """
        self._supervisor = asyncio.create_task(self._supervise(await self._start()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the child and the callbacks."""
        assert self._supervisor is not None, "entered"
        self._supervisor.cancel()
        await asyncio.gather(self._supervisor, return_exceptions=True)
        if self._child is not None:
            # The supervisor was cancelled before it ran for the first time.
            await self._child.stop()
            self._child = None
        await self._deliveries.aclose()

    def set_standings(self, standings: Mapping[str, Standing]) -> None:
        """Have the market know this of nodes that joined; of one that leaves it forgets it."""
        if self._child is not None:
            told = {node_id: plain(standing) for node_id, standing in standings.items()}
            self._child.tell({"kind": "standings", "standings": told})

    def admit(self, lists: PeerLists) -> None:
        """Have only these peers connected, now and after every restart of the child."""
        self._lists = lists
        if self._child is not None:
            _admit(self._child, lists)

    def set_prices(self, sheet: PriceSheet) -> None:
        """Have this told to whoever asks for prices, now and after every restart of the child."""
        self._sheet = sheet
        if self._child is not None:
            self._child.tell({"kind": "prices", "sheet": plain(sheet)})

    @property
    def traffic(self) -> Traffic:
        """What the child has to do with; nothing while it is away."""
        return self._child.traffic if self._child is not None else Traffic()

    @property
    def discovery_addresses(self) -> tuple[str, ...]:
        """Where the process that announces us was last reached; others may list it. Empty if there is none."""
        return self._discovery_addresses

    @property
    def pid(self) -> int | None:
        """The child's process id; None while it is away."""
        return self._child.pid if self._child else None

    def offer(self, node_id: str) -> Offer | None:
        """What a node offers; None if it is not connected."""
        view = self._nodes.get(node_id)
        return None if view is None else view.offer

    @property
    def peer_id(self) -> str:
        """The coordinator's."""
        return self._peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where nodes connect, with the peer id at the end; they survive a restart."""
        return self._addresses

    async def hold_auction(
        self,
        demand: Demand,
        excluded: tuple[str, ...] = (),
        owners_excluded: tuple[str, ...] = (),
        places: Barred = NOBODY,
    ) -> AuctionReport:
        """Auction a demand among the nodes that are connected now.

        It takes one bid window, two if too few nodes bid, and less when everybody has answered.

        Args:
            excluded: node ids that are not asked.
            owners_excluded: wallets none of whose nodes is asked.
            places: where nobody is asked.

        Raises:
            MarketAway: try again.
            MarketBug: this demand is being auctioned already.
        """
        arguments: Frame = {
            "demand": plain(demand),
            "excluded": list(excluded),
            "owners_excluded": list(owners_excluded),
            "places": plain(places),
        }
        limit_s = 2 * demand.bid_window_ms / 1000 + _CALL_LIMIT_S
        return auction_from_wire(await self._call("hold_auction", arguments, limit_s))

    async def award(self, node_id: str, award: Award) -> AwardReport:
        """Offer a lease to a node and wait for its answer, up to `AWARD_ANSWER_MS`.

        Raises:
            MarketAway: nothing is known: the node may have got it. Award again: it answers again.
        """
        arguments: Frame = {"node_id": node_id, "award": plain(award)}
        limit_s = AWARD_ANSWER_MS / 1000 + _CALL_LIMIT_S
        return award_from_wire(await self._call("award", arguments, limit_s))

    async def send(self, node_id: str, message: Message, *, is_last: bool = False) -> Envelope:
        """Sign a message and put it on the way to a node. That it arrives, only an answer shows.

        Args:
            is_last: nothing more is to be said about the message's lease; its stream is closed.

        Raises:
            NodeUnreachable: the node is not connected, or has no stream (yet) for the lease.
            MarketAway: try again.
        """
        arguments: Frame = {
            "node_id": node_id,
            "type": type_name(message),
            "body": to_body(message),
            "is_last": is_last,
        }
        try:
            return parse_envelope(await self._call("send", arguments, _CALL_LIMIT_S))
        except CallFailed as error:
            if error.code == "unreachable":
                raise NodeUnreachable(node_id, str(error)) from error
            raise MarketBug(str(error)) from error

    async def explain(self, demand: Demand, places: Barred = NOBODY) -> Explanation:
        """How a demand meets the nodes that are connected now; nobody is asked.

        Args:
            places: where it may not run.

        Raises:
            MarketAway: try again.
        """
        arguments: Frame = {"demand": plain(demand), "places": plain(places)}
        return decode(Explanation, await self._call("explain", arguments, _CALL_LIMIT_S))

    async def open_job_stream(self, node_id: str) -> JobStream:
        """A stream into a job of a node, which has answered nothing yet.

        Raises:
            MarketAway: try again.
        """
        return await self._open_stream(SocketWanted(node_id))

    async def open_use_stream(self, node_id: str) -> JobStream:
        """A stream for exchanges with replicas at a node.

        Raises:
            MarketAway: try again.
        """
        return await self._open_stream(SocketWanted(node_id, is_use=True))

    async def _open_stream(self, wanted: SocketWanted) -> JobStream:
        if self._child is None:
            raise MarketAway("the market process is being started")
        return await JobStream.over(self._child.open_socket(wanted))

    def open_mailbox_stream(self, node_id: str, mailbox: str, is_lease: bool) -> socket.socket:
        """A socket with the frames of one stream of a node that speaks through us (`mailboxes`). The child closes
        it at once where it takes no more.

        Raises:
            MarketAway: try again.
        """
        if self._child is None:
            raise MarketAway("the market process is being started")
        return self._child.open_socket(SocketWanted(node_id, mailbox, is_lease))

    async def nodes(self) -> list[NodeView]:
        """The nodes that are connected now.

        Raises:
            MarketAway: try again.
        """
        if self._child is None:
            raise MarketAway("the market process is being started")
        return list(self._nodes.values())

    async def _call(self, method: str, arguments: Frame, limit_s: float) -> Frame:
        if self._child is None:
            raise MarketAway("the market process is being started")
        return await self._child.call(method, arguments, limit_s)

    async def _start(self) -> Child:
        child = await Child.start(self._settings)
        _admit(child, self._lists)
        if self._sheet is not None:
            child.tell({"kind": "prices", "sheet": plain(self._sheet)})
        # The ports that it got are kept, so that nodes find the next child where this one was.
        self._settings = replace(self._settings, listen=child.listen)
        self._peer_id, self._addresses = child.peer_id, child.addresses
        self._child = child
        return child

    async def _supervise(self, child: Child) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                async with aclosing(child.frames()) as frames:
                    async for frame in frames:
                        self._take(child, frame)
            except Exception:  # noqa: BLE001 - a bug here must not leave the api without a market
                _log.exception("the market process said what was not expected")
            finally:
                self._child = None
                await child.stop()
            _log.error(
                "the market process ended with %s and is started again",
                child.exit_code,
                extra=named(CoordinatorEvent.MARKET_ENDED),
            )
            for node_id, view in self._nodes.items():
                self._deliveries.changed(node_id, "left", view)
            self._nodes.clear()
            failures = 0 if time.monotonic() - started > _HEALTHY_S else failures
            while True:
                await asyncio.sleep(_RESTART_PAUSES_S[min(failures, len(_RESTART_PAUSES_S) - 1)])
                failures += 1
                try:
                    child = await self._start()
                    break
                except MarketAway as error:
                    _log.error("the market process does not start: %s", error)

    def _take(self, child: Child, frame: Frame) -> None:
        match frame["kind"]:
            case "message":
                node_id = decode(str, frame["node_id"])
                self._heard(node_id, frame)
                lane = decode(str, frame["lane"])
                taken = partial(child.tell, {"kind": "taken", "lane": lane, "count": 1})
                self._deliveries.said(lane, node_id, parse_envelope(frame["envelope"]), taken)
            case "announced":
                self._discovery_addresses = decode(tuple[str, ...], frame["addresses"])
            case "joined":
                view = decode(NodeView, frame["view"])
                self._nodes[view.offer.node_id] = view
                self._deliveries.changed(view.offer.node_id, "joined", view)
            case "beat":
                node_id = decode(str, frame["node_id"])
                view = _after_beat(self._nodes[node_id], frame)
                self._nodes[node_id] = view
                self._deliveries.changed(node_id, "heartbeat", view)
            case "left":
                node_id = decode(str, frame["node_id"])
                self._heard(node_id, frame)
                self._deliveries.changed(node_id, "left", self._nodes.pop(node_id))

    def _heard(self, node_id: str, frame: Frame) -> None:
        heard_ms = decode(int, frame["last_heard_ms"])
        self._nodes[node_id] = replace(self._nodes[node_id], last_heard_ms=heard_ms)


def _admit(child: Child, lists: PeerLists) -> None:
    told = {"allow": sorted(lists.allow), "deny": dict(lists.deny)}
    child.tell({"kind": "peers", "lists": told})


def _after_beat(view: NodeView, frame: Frame) -> NodeView:
    offer = replace(
        view.offer,
        free=decode(Capacity, frame["free"]),
        accepting=decode(bool, frame["accepting"]),
        reclaimable=decode(Capacity, frame["reclaimable"]) if frame["reclaimable"] else None,
    )
    return NodeView(
        offer,
        view.connected_since_ms,
        decode(int, frame["last_heard_ms"]),
        decode(tuple[LeaseStatus, ...], frame["leases"]),
        decode(tuple[GpuUse, ...], frame["gpus"]),
    )
