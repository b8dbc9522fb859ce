"""The market at full size under virtual time: real candidates, rounds, ranking, bidders, one seed.

What is simulated is the network and the clock. Who is asked (`candidates`), the rounds (`call`), the
ranking (`auction`) and the factors (`calibration`) are what the coordinator runs, and the answers
are what nodes give (`bidder`, `reservations`, `start_history`).
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from neurogrid_marketplace.auction import RankedBid
from neurogrid_marketplace.bid import Bid, Decline
from neurogrid_marketplace.calibration import MeasuredStart, start_factor_permille
from neurogrid_marketplace.call import Call
from neurogrid_marketplace.candidates import Candidates
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.matching import SAMPLE_SIZE, sample
from neurogrid_marketplace.orchestration import AWARD_ANSWER_MS
from neurogrid_marketplace.sealing import REVEAL_LIMIT_MS, Commit, Reveal

from .clockwork import Chaos, Clockwork
from .fleet import fleet, order
from .seller import Seller

_LIMIT_MS = 600_000
_RUNS_FOR_MS = (2_000, 60_000)
# By then a stop that is repeated has been heard.
_STOPPED_BY_MS = 5_000
Answer = Bid | Decline | Commit


@dataclass(slots=True)
class Order:
    """What became of one order.

    Attributes:
        pool: whom the draw was made among; asked: who got the demand.
        messages: demands, answers, reveals, awards and their answers that were sent.
        awards: how many bids were offered the lease.
        looks: offers that were held against the demand.
        ranking: as it closed.
        winner: who took it; None: nobody.
        then: what follows when nobody is waited for; None: no answer is awaited.
    """

    demand: Demand
    call: Call
    pool: tuple[str, ...]
    looks: int
    messages: int = 0
    awards: int = 0
    then: Callable[["Order"], None] | None = None
    ranking: tuple[RankedBid, ...] = ()
    winner: RankedBid | None = None
    is_over: bool = False

    @property
    def asked(self) -> int:
        """How many got the demand."""
        return len(self.call.auction.asked)


class BigMarket:
    """One run: ``orders`` orders, one a second, among ``size`` machines."""

    def __init__(
        self, seed: int, chaos: Chaos, *, size: int, orders: int, sealed: bool = False
    ) -> None:
        self.clockwork = Clockwork(seed, chaos)
        self.candidates = Candidates(fleet(size))
        self.orders: list[Order] = []
        self.sellers: dict[str, Seller] = {}
        self.factors: dict[str, int] = {}
        self.before_draw: Callable[[Demand], None] = lambda demand: None
        self._offers = {offer.node_id: offer for offer in fleet(size)}
        self._starts: defaultdict[str, list[MeasuredStart]] = defaultdict(list)
        for number in range(orders):
            demand = order(number, seed, sealed=sealed)
            self.clockwork.later(1_000 * number, lambda demand=demand: self._submit(demand))  # type: ignore[misc]  # binds the loop's value
        self._expected = orders

    def run(self) -> None:
        """Until every order is over and every lease has ended."""
        self.clockwork.run(self._at_rest, _LIMIT_MS)

    def _at_rest(self) -> bool:
        return (
            len(self.orders) == self._expected
            and all(item.is_over for item in self.orders)
            and not any(seller.leases for seller in self.sellers.values())
        )

    # --- an auction ---------------------------------------------------------------------------

    def _submit(self, demand: Demand) -> None:
        self.before_draw(demand)
        looks = self.candidates.looks
        pool = self.candidates.pool(demand)
        drawn = [offer.node_id for offer in sample(pool, demand.demand_id, size=2 * SAMPLE_SIZE)]
        item = Order(
            demand,
            Call(demand, drawn),
            tuple(offer.node_id for offer in pool),
            self.candidates.looks - looks,
        )
        self.orders.append(item)
        self._next_round(item)

    def _next_round(self, item: Order) -> None:
        asked = item.call.next_round()
        if asked:
            for node_id in asked:
                self._say(item, lambda node_id=node_id: self._ask(item, node_id))  # type: ignore[misc]  # binds the loop's value
            self._wait(item, item.demand.bid_window_ms, self._next_round)
            return
        reveal = item.call.reveal()
        if reveal is None:
            self._close(item)
            return
        for node_id in reveal.commitments:
            self._say(item, lambda node_id=node_id: self._show(item, node_id, reveal))  # type: ignore[misc]  # binds the loop's value
        self._wait(item, REVEAL_LIMIT_MS, self._close)

    def _wait(self, item: Order, window_ms: int, then: Callable[[Order], None]) -> None:
        """Go on when nobody is waited for, at the latest when the window is over."""
        item.then = then
        self.clockwork.later(window_ms, lambda: self._go_on(item, then))

    def _go_on(self, item: Order, then: Callable[[Order], None]) -> None:
        if item.then is then:
            item.then = None
            then(item)

    def _ask(self, item: Order, node_id: str) -> None:
        seller = self.sellers.get(node_id)
        if seller is None:
            offer = self._offers[node_id]
            seller = self.sellers[node_id] = Seller(offer, lambda: self.clockwork.now_ms)
        answer = seller.asked(item.demand)
        self._say(item, lambda: self._answered(item, node_id, answer))

    def _show(self, item: Order, node_id: str, reveal: Reveal) -> None:
        bid = self.sellers[node_id].show(reveal)
        if bid is not None:
            self._say(item, lambda: self._answered(item, node_id, bid))

    def _answered(self, item: Order, node_id: str, answer: Answer) -> None:
        if item.then is None:
            return  # too late
        match answer:
            case Bid():
                item.call.bid(node_id, answer, f"{node_id} {answer.price_micro_usdc_per_hour}")
            case Commit():
                item.call.commit(node_id, answer)
            case Decline():
                item.call.decline(node_id, answer)
        if not item.call.waiting_for:
            self._go_on(item, item.then)

    def _close(self, item: Order) -> None:
        item.call.close()
        item.ranking = item.call.auction.ranking(self.factors)
        self._award(item)

    # --- a lease ------------------------------------------------------------------------------

    def _award(self, item: Order) -> None:
        """Offer it to the best bid that is left."""
        if item.awards == len(item.ranking):
            item.is_over = True
            return
        best = item.ranking[item.awards]
        item.awards += 1
        this = item.awards
        self._say(item, lambda: self._offered(item, best, this))
        self.clockwork.later(AWARD_ANSWER_MS, lambda: self._denied(item, this))

    def _offered(self, item: Order, best: RankedBid, this: int) -> None:
        seller = self.sellers[best.node_id]
        if seller.awarded(item.demand, _lease_id(item, this)):
            self._beat(seller)
            self._say(item, lambda: self._accepted(item, best, this))
        else:
            self._say(item, lambda: self._denied(item, this))

    def _denied(self, item: Order, this: int) -> None:
        """No answer counts as no: whoever has taken it unheard is told to stop until it has heard."""
        if item.awards == this and not item.is_over:
            seller = self.sellers[item.ranking[this - 1].node_id]
            lease_id = _lease_id(item, this)
            self.clockwork.later(_STOPPED_BY_MS, lambda: self._ended(seller, lease_id))
            self._award(item)

    def _accepted(self, item: Order, best: RankedBid, this: int) -> None:
        if item.is_over or item.awards != this:
            return
        item.winner, item.is_over = best, True
        seller = self.sellers[best.node_id]
        took_ms = seller.begin_start()
        run_ms = self.clockwork.random.randrange(*_RUNS_FOR_MS)
        self.clockwork.later(took_ms, lambda: self._started(best, took_ms))
        self.clockwork.later(took_ms + run_ms, lambda: self._ended(seller, _lease_id(item, this)))

    def _started(self, best: RankedBid, took_ms: int) -> None:
        starts = self._starts[best.node_id]
        starts.append(MeasuredStart(best.bid.start_ms, took_ms))
        self.factors[best.node_id] = start_factor_permille(starts)

    def _ended(self, seller: Seller, lease_id: str) -> None:
        seller.ended(lease_id)
        self._beat(seller)

    def _beat(self, seller: Seller) -> None:
        self.clockwork.later(20, lambda: self.candidates.put(seller.present()))

    def _say(self, item: Order, arrive: Callable[[], None]) -> None:
        item.messages += 1
        self.clockwork.send(arrive)

    # --- what must be true --------------------------------------------------------------------

    def check(self) -> None:
        """Of every run, however unkind."""
        assert self._at_rest(), "an order never ended, or a lease"
        for seller in self.sellers.values():
            later_ms = self.clockwork.now_ms + 60_000
            assert seller.book.free(later_ms) == seller.book.total, "something stayed promised"
        for item in self.orders:
            self._check_order(item)

    def _check_order(self, item: Order) -> None:
        call, demand = item.call, item.demand
        assert item.asked <= 2 * SAMPLE_SIZE
        assert call.auction.asked <= set(item.pool)
        for place, ranked in enumerate(item.ranking):
            bid = ranked.bid
            assert ranked.node_id in call.auction.asked
            behind = [o.score for o in item.ranking[place + 1 :] if o.bid.wallet != bid.wallet]
            waiting = ranked.score - bid.price_micro_usdc_per_hour
            second = min(behind, default=0) - waiting
            fair = min(
                max(bid.price_micro_usdc_per_hour, second), demand.max_price_micro_usdc_per_hour
            )
            assert ranked.award_price_micro_usdc_per_hour == fair
            if place:
                before = item.ranking[place - 1]
                assert (before.score, before.node_id) < (ranked.score, ranked.node_id)
        if item.winner is None:
            assert item.awards == len(item.ranking), "a bid was left that nobody was offered"


def _lease_id(item: Order, this: int) -> str:
    return f"{item.demand.demand_id} {this}"
