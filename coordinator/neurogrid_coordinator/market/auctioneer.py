"""Holding an auction: who is asked, when the window closes, what is reported.

The rules are `matching`, `call` and `auction`; this is the clock and the network around them.
"""

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import trio

from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.call import Call, round_size
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.explain import Explanation
from neurogrid_marketplace.matching import sample, shape_of
from neurogrid_marketplace.messages import HEARTBEAT_INTERVAL_S
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS, Commit, Reveal
from neurogrid_marketplace.spreading import NOBODY, Barred
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
        demands, commits, reveals, bids: by node id, the envelopes as they travelled; of commits and
            bids, those that count.
        complete: set when nobody is waited for.
    """

    call: Call
    demands: dict[str, Envelope] = field(default_factory=dict)
    commits: dict[str, Envelope] = field(default_factory=dict)
    reveals: dict[str, Envelope] = field(default_factory=dict)
    bids: dict[str, Envelope] = field(default_factory=dict)
    complete: trio.Event = field(default_factory=trio.Event)

    def heard(self) -> None:
        """Somebody has answered, or will not."""
        if not self.call.waiting_for:
            self.complete.set()


class Auctioneer:
    """Holds auctions among the nodes of a directory.

    Args:
        send: puts a message on the way to a node; raises `ChannelClosed` if it is gone.
    """

    def __init__(
        self, directory: Directory, send: Callable[[str, Demand | Reveal], Awaitable[Envelope]]
    ) -> None:
        self._directory = directory
        self._send = send
        self._open: dict[str, _Open] = {}
        # By the shape of the demand and where it may not run; with the time at which it was found
        # out, oldest first.
        self._explained: OrderedDict[tuple[Demand, Barred], tuple[float, Explanation]] = (
            OrderedDict()
        )

    async def hold(
        self,
        demand: Demand,
        excluded: frozenset[str],
        weights: Mapping[str, int],
        places: Barred = NOBODY,
    ) -> AuctionReport:
        """Ask a sample, once more a larger one if fewer than two would bid, and report.

        Args:
            excluded: nodes that are not asked.
            weights: see `matching.sample`.
            places: where nobody is asked.

        Raises:
            ValueError: this demand is being auctioned already.
        """
        if demand.demand_id in self._open:
            raise ValueError(f"{demand.demand_id} is being auctioned already")
        pool = self._directory.candidates.pool(demand, excluded=excluded, places=places)
        drawn = sample(pool, demand.demand_id, size=2 * round_size(demand), weights=weights)
        call = Call(demand, [offer.node_id for offer in drawn])
        current = self._open[demand.demand_id] = _Open(call)
        try:
            while asked := call.next_round():
                await self._round(current, asked, demand, demand.bid_window_ms, current.demands)
            reveal = call.reveal()
            if reveal is not None:
                asked = tuple(reveal.commitments)
                await self._round(current, asked, reveal, REVEAL_LIMIT_MS, current.reveals)
        finally:
            del self._open[demand.demand_id]
        call.close()
        for node_id, fault in call.faults.items():
            _log.warning("%s: what %s said does not count: %s", demand.demand_id, node_id, fault)
        auction = call.auction
        ranked_all = auction.ranking(self._directory.start_factors_permille(auction.asked))
        regions = {offer.node_id: offer.region for offer in drawn}
        ranking = tuple(replace(each, region=regions[each.node_id]) for each in ranked_all)
        return AuctionReport(
            demands=current.demands,
            ranking=ranking,
            bids=current.bids,
            declines=auction.declines,
            explanation=self._explain(demand, len(pool), auction.declines, places),
            commits=current.commits,
            reveals=current.reveals,
        )

    def commit_received(self, node_id: str, envelope: Envelope, commit: Commit) -> None:
        """Take a commitment. One that does not count changes nothing."""
        current = self._open.get(commit.demand_id)
        if current is not None:
            if current.call.commit(node_id, commit):
                current.commits[node_id] = envelope
            current.heard()

    def bid_received(self, node_id: str, envelope: Envelope, bid: Bid) -> None:
        """Take a bid. One that is late, a second one, or one for something else changes nothing."""
        current = self._open.get(bid.demand_id)
        if current is not None:
            if current.call.bid(node_id, bid, envelope.hash()):
                current.bids[node_id] = envelope
            current.heard()

    def decline_received(self, node_id: str, decline: Decline) -> None:
        """Take a decline. One that is late or after another answer changes nothing."""
        current = self._open.get(decline.demand_id)
        if current is not None:
            current.call.decline(node_id, decline)
            current.heard()

    def node_left(self, node_id: str) -> None:
        """Expect nothing more of a node."""
        for current in self._open.values():
            current.call.left(node_id)
            current.heard()

    async def _round(
        self,
        current: _Open,
        node_ids: tuple[str, ...],
        message: Demand | Reveal,
        window_ms: int,
        sent: dict[str, Envelope],
    ) -> None:
        """Send something to each of these, and wait until all have answered or the window is over."""

        async def send(node_id: str) -> None:
            try:
                sent[node_id] = await self._send(node_id, message)
            except ChannelClosed:
                current.call.left(node_id)
                current.heard()

        current.complete = trio.Event()
        with trio.move_on_after(min(window_ms, MAX_WINDOW_MS) / 1000):
            async with trio.open_nursery() as nursery:
                for node_id in node_ids:
                    nursery.start_soon(send, node_id)
                await current.complete.wait()

    def _explain(
        self, demand: Demand, pool: int, declines: Mapping[str, Decline], places: Barred
    ) -> Explanation:
        if not pool:
            return self._why_nobody(demand, places)
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

    def _why_nobody(self, demand: Demand, places: Barred) -> Explanation:
        shape, now = (shape_of(demand), places), trio.current_time()
        known = self._explained.get(shape)
        if known is not None and now - known[0] < _EXPLAINED_S:
            return known[1]
        found = self._directory.explain(demand, places)
        self._explained.pop(shape, None)
        self._explained[shape] = (now, found)
        if len(self._explained) > _EXPLAINED_MAX:
            self._explained.popitem(last=False)
        return found
