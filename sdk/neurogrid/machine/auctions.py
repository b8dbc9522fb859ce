"""What a machine has bid, and what it was awarded and has not answered yet. No I/O, no clock."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from neurogrid_marketplace.asked import Asked
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.messages import Award, Deny
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.sealing import Commit, Reveal, commitment

from .bidding import Policy, Taken, answer

# The coordinator waits two seconds for an answer to an award; so much of that is the program's.
ACCEPT_WITHIN_MS = 1_700
_BIDS_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Standing:
    """A bid that holds, and what is held for it."""

    asked: Asked
    taken: Taken


@dataclass(frozen=True, slots=True)
class Offered:
    """A task that the machine was awarded; the program has until ``until_ms`` to accept it."""

    award: Award
    taken: Taken
    until_ms: int


class Auctions:
    """Those of one machine.

    Args:
        nonce: makes 32 random bytes in hex, for a sealed bid.

    Attributes:
        offered: by lease id.
    """

    def __init__(self, node_id: str, policy: Policy, nonce: Callable[[], str]) -> None:
        self.offered: dict[str, Offered] = {}
        self._node_id = node_id
        self._policy = policy
        self._nonce = nonce
        self._bids: OrderedDict[str, _Standing] = OrderedDict()

    def taken(self, now_ms: int) -> list[Taken]:
        """What is held for bids and offers that stand."""
        bids = [
            each.taken for each in self._bids.values() if each.asked.bid.valid_until_ms > now_ms
        ]
        return bids + [each.taken for each in self.offered.values()]

    def ask(self, demand: Demand, offer: Offer, leases: int, now_ms: int) -> Bid | Commit | Decline:
        """The answer to a demand; one that is asked again gets the same.

        Args:
            offer: with what is free now, and whether it takes work.
            leases: how many tasks there are.
        """
        known = self._find(demand.demand_id, now_ms)
        if known is None or known.asked.demand != demand:
            found = answer(demand, offer, self._policy, leases, now_ms)
            if isinstance(found, Decline):
                return found
            bid, taken = found
            if demand.sealed_bids:
                bid = replace(bid, nonce=self._nonce())
            known = self._keep(_Standing(Asked(demand, bid), taken))
        if demand.sealed_bids and known.asked.reveal is None:
            sealed = commitment(self._node_id, known.asked.bid)
            return Commit(demand.demand_id, demand.hash(), sealed)
        return known.asked.bid

    def reveal(self, reveal: Reveal, now_ms: int) -> Bid | None:
        """The bid to show now that the list of commitments stands; None where ours is not in it as we made it."""
        known = self._find(reveal.demand_id, now_ms)
        if known is None or not known.asked.demand.sealed_bids:
            return None
        ours = commitment(self._node_id, known.asked.bid)
        if reveal.commitments.get(self._node_id) != ours:
            return None
        if known.asked.reveal not in (None, reveal):
            return None
        self._keep(replace(known, asked=replace(known.asked, reveal=reveal)))
        return known.asked.bid

    def signed(self, demand_id: str, bid_hash: str) -> None:
        """A bid was sent in an envelope with this hash."""
        known = self._bids.get(demand_id)
        if known is not None:
            self._keep(replace(known, asked=known.asked.signed(bid_hash)))

    def award(self, award: Award, now_ms: int, *, accepting: bool) -> Deny | None:
        """Why an award can't be taken; None: it is offered to the program now."""
        if award.lease_id in self.offered:
            same = self.offered[award.lease_id].award == award
            return None if same else _deny(award, DeclineCode.TERMS_CHANGED, "offered otherwise")
        known = self._find(award.demand_id, now_ms)
        if not accepting:
            return _deny(award, DeclineCode.NOT_ACCEPTING)
        if known is None:
            return _deny(award, DeclineCode.RESERVATION_EXPIRED, "no bid of ours stands for it")
        if not known.asked.is_met_by(award):
            return _deny(award, DeclineCode.TERMS_CHANGED, "not what was demanded and bid")
        del self._bids[award.demand_id]
        self.offered[award.lease_id] = Offered(award, known.taken, now_ms + ACCEPT_WITHIN_MS)
        return None

    def expired(self, now_ms: int) -> list[Deny]:
        """Offers that the program did not take in time, so that the next bid gets the award soon."""
        for demand_id, each in list(self._bids.items()):
            if each.asked.bid.valid_until_ms <= now_ms:
                del self._bids[demand_id]
        late = [each.award for each in self.offered.values() if each.until_ms <= now_ms]
        for award in late:
            del self.offered[award.lease_id]
        words = "the provider's program did not accept it in time"
        return [_deny(award, DeclineCode.NOT_READY, words) for award in late]

    def _find(self, demand_id: str, now_ms: int) -> _Standing | None:
        known = self._bids.get(demand_id)
        return known if known is not None and known.asked.bid.valid_until_ms > now_ms else None

    def _keep(self, standing: _Standing) -> _Standing:
        self._bids[standing.asked.demand.demand_id] = standing
        while len(self._bids) > _BIDS_KEPT:
            self._bids.popitem(last=False)
        return standing


def _deny(award: Award, code: DeclineCode, detail: str = "") -> Deny:
    return Deny(award.lease_id, code, detail)
