"""Holding an auction: who is asked, when the window closes, what is reported.

The rules are `matching` and `auction`; this is the clock and the network around them.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.explain import Explanation, explain
from neurogrid_marketplace.matching import SAMPLE_SIZE, eligible, sample
from neurogrid_marketplace.offer import Offer
from neurogrid_p2p.errors import ChannelClosed

from .directory import Directory
from .reports import AuctionReport

# With fewer bids than this there is no second score: ask once more, twice as many.
_ENOUGH_BIDS = 2
# A window beyond this holds a client up for nothing: a node answers in milliseconds.
MAX_WINDOW_MS = 60_000

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
            candidates = eligible(self._others(excluded), demand)
            for size in (SAMPLE_SIZE, 2 * SAMPLE_SIZE):
                drawn = sample(candidates, demand.demand_id, size=size, weights=weights)
                fresh = [o.node_id for o in drawn if o.node_id not in auction.asked]
                await self._ask(current, demand, fresh)
                if len(auction.ranking()) >= _ENOUGH_BIDS:
                    break
        finally:
            del self._open[demand.demand_id]
        ranking = auction.ranking()
        return AuctionReport(
            demands=current.demands,
            ranking=ranking,
            bids={ranked.node_id: current.bids[ranked.node_id] for ranked in ranking},
            declines=auction.declines,
            explanation=self._explain(demand, auction.declines, len(candidates), bool(ranking)),
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

    def _others(self, excluded: frozenset[str]) -> list[Offer]:
        return [offer for offer in self._directory.offers() if offer.node_id not in excluded]

    def _explain(
        self, demand: Demand, declines: Mapping[str, Decline], matching: int, bids: bool
    ) -> Explanation:
        if not bids:
            return explain(self._directory.offers(), demand, declines)
        codes = [decline.code.value for decline in declines.values()]
        return Explanation(
            nodes=len(self._directory),
            matching=matching,
            survivors=(),
            nearest=(),
            clearing_price_micro_usdc_per_hour=None,
            relaxation=None,
            declines={code: codes.count(code) for code in sorted(set(codes))},
        )
