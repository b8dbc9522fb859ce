"""Holding an auction: who is asked, when the window closes, what is reported.

The rules are `matching` and `auction`; this is the clock and the network around them.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.matching import ENOUGH_BIDS, SAMPLE_SIZE, sample, shape_of
from neurogrid_marketplace.messages import HEARTBEAT_INTERVAL_S
from neurogrid_p2p.errors import ChannelClosed

from .directory import Directory
from .reports import AuctionReport

# A window beyond this holds a client up for nothing: a node answers in milliseconds.
MAX_WINDOW_MS = 60_000

# How long it is believed why nobody fits: nodes say what is free no more often. To find out is to
# look at every node, which a task that waits must not cause each time it is tried.
_EXPLAINED_S = HEARTBEAT_INTERVAL_S
_EXPLAINED_MAX = 256

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """An auction under way.

    Attributes:
        waiting_for: who was asked in this round and has not answered.
        complete: set when that is nobody.
    """

    demand_hash: str
    auction: Auction
    waiting_for: set[str] = field(default_factory=set)
    demands: dict[str, Envelope] = field(default_factory=dict)
    bids: dict[str, Envelope] = field(default_factory=dict)
    complete: trio.Event = field(default_factory=trio.Event)

    def answered(self, node_id: str) -> None:
        self.waiting_for.discard(node_id)
        if not self.waiting_for:
            self.complete.set()


class Auctioneer:
    """Holds auctions among the nodes of a directory.

    Args:
        send: puts a demand on the way to a node; raises `ChannelClosed` if it is gone.
    """

    def __init__(
        self, directory: Directory, send: Callable[[str, Demand], Awaitable[Envelope]]
    ) -> None:
        self._directory = directory
        self._send = send
        self._open: dict[str, _Open] = {}
        # By the shape of the demand, with the time at which it was found out; oldest first.
        self._explained: OrderedDict[Demand, tuple[float, Explanation]] = OrderedDict()

    async def hold(
        self, demand: Demand, excluded: frozenset[str], weights: Mapping[str, int]
    ) -> AuctionReport:
        """Ask a sample, once more a larger one if fewer than two bid, and report.

        Args:
            excluded: nodes that are not asked.
            weights: see `matching.sample`.

        Raises:
            ValueError: this demand is being auctioned already.
        """
        if demand.demand_id in self._open:
            raise ValueError(f"{demand.demand_id} is being auctioned already")
        auction = Auction(demand.max_price_micro_usdc_per_hour, frozenset())
        current = _Open(demand.hash(), auction)
        self._open[demand.demand_id] = current
        try:
            pool = self._directory.candidates.pool(demand, excluded=excluded)
            drawn = sample(pool, demand.demand_id, size=2 * SAMPLE_SIZE, weights=weights)
            for asked in (drawn[:SAMPLE_SIZE], drawn[SAMPLE_SIZE:]):
                await self._ask(current, demand, [offer.node_id for offer in asked])
                if len(current.bids) >= ENOUGH_BIDS:
                    break
        finally:
            del self._open[demand.demand_id]
        ranking = auction.ranking(self._directory.start_factors_permille(auction.asked))
        return AuctionReport(
            demands=current.demands,
            ranking=ranking,
            bids={ranked.node_id: current.bids[ranked.node_id] for ranked in ranking},
            declines=auction.declines,
            explanation=self._explain(demand, len(pool), auction.declines),
        )

    def bid_received(self, node_id: str, envelope: Envelope, bid: Bid) -> None:
        """Take a bid. One that is late, a second one, or one for something else changes nothing."""
        current = self._open.get(bid.demand_id)
        if current is None or node_id not in current.auction.asked or node_id in current.bids:
            return
        if bid.demand_hash != current.demand_hash:
            _log.warning("%s bids on other terms than those of %s", node_id, bid.demand_id)
        elif bid.price_micro_usdc_per_hour <= current.auction.max_price_micro_usdc_per_hour:
            current.auction.bid(node_id, bid, envelope.hash())
            current.bids[node_id] = envelope
        current.answered(node_id)

    def decline_received(self, node_id: str, decline: Decline) -> None:
        """Take a decline. One that is late or after a bid changes nothing."""
        current = self._open.get(decline.demand_id)
        if current is not None:
            current.auction.decline(node_id, decline)
            current.answered(node_id)

    def node_left(self, node_id: str) -> None:
        """Expect nothing more of a node."""
        for current in self._open.values():
            current.answered(node_id)

    async def _ask(self, current: _Open, demand: Demand, node_ids: list[str]) -> None:
        if not node_ids:
            return
        current.auction.asked |= frozenset(node_ids)
        # Not for those of an earlier round: they have had their window, and may still answer.
        current.waiting_for = set(node_ids)
        current.complete = trio.Event()
        with trio.move_on_after(min(demand.bid_window_ms, MAX_WINDOW_MS) / 1000):
            async with trio.open_nursery() as nursery:
                for node_id in node_ids:
                    nursery.start_soon(self._ask_one, current, demand, node_id)
                await current.complete.wait()

    async def _ask_one(self, current: _Open, demand: Demand, node_id: str) -> None:
        try:
            current.demands[node_id] = await self._send(node_id, demand)
        except ChannelClosed:
            current.answered(node_id)

    def _explain(self, demand: Demand, pool: int, declines: Mapping[str, Decline]) -> Explanation:
        if not pool:
            return self._why_nobody(demand)
        codes = [decline.code.value for decline in declines.values()]
        return Explanation(
            nodes=len(self._directory),
            matching=pool,
            survivors=(),
            nearest=(),
            clearing_price_micro_usdc_per_hour=None,
            relaxation=None,
            declines={code: codes.count(code) for code in sorted(set(codes))},
        )

    def _why_nobody(self, demand: Demand) -> Explanation:
        shape, now = shape_of(demand), trio.current_time()
        known = self._explained.get(shape)
        if known is not None and now - known[0] < _EXPLAINED_S:
            return known[1]
        found = self._directory.explain(demand)
        self._explained.pop(shape, None)
        self._explained[shape] = (now, found)
        if len(self._explained) > _EXPLAINED_MAX:
            self._explained.popitem(last=False)
        return found
