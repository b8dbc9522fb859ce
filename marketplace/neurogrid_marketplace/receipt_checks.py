"""The rules that demand, bids, award, accept and events of a receipt must keep together.

Each check raises `ReceiptInvalid` for what cannot be, and says item by item what the rest is worth.
What one side alone has signed is its claim; what others' signatures and hashes force is proven.
"""

from collections.abc import Sequence

from .auction import Auction, RankedBid
from .bid import Bid
from .comparator import EXACT
from .demand import Demand, VerifyMode
from .envelope import CLOCK_TOLERANCE_MS, Envelope
from .errors import ReceiptInvalid
from .faults import Outcome
from .fields import PUNCTUAL_PERMILLE
from .messages import Accept, Award, Event, EventKind, Result
from .money import format_usdc
from .receipt_items import BOTH, COORDINATOR, NODE, Item, absent, claimed, proven
from .receipt_kinds import Link, Parts


def check_identities(parts: Parts) -> tuple[Item, ...]:
    """Who signed: names that are keys, so that the names need no register."""
    return (
        proven(
            "coordinator",
            COORDINATOR,
            f"the holder of key {parts.coordinator}; who that is, no key says",
        ),
        proven("node", NODE, f"the holder of key {parts.node_id}; who that is, no key says"),
    )


def check_terms(parts: Parts) -> tuple[Item, ...]:
    """Demand and award belong together, and the award changes nothing that was demanded."""
    demand, award = parts.one(Demand).message, parts.agreed
    if award.demand_hash != demand.hash() or award.demand_id != demand.demand_id:
        raise ReceiptInvalid("the award is for another demand")
    if (
        award.job_hash != demand.job_hash
        or award.timeout_s != demand.timeout_s
        or award.voucher_interval_s != demand.voucher_interval_s
    ):
        raise ReceiptInvalid("the award changes what was demanded")
    if award.max_cost_micro_usdc != demand.max_cost_at_micro_usdc(award.price_micro_usdc_per_hour):
        raise ReceiptInvalid("the award's most is not the cost of its whole time limit or use")
    if not demand.takes(award.unit_prices):
        raise ReceiptInvalid("the award's prices for units are not what was demanded")
    if demand.use is not None:
        words = (
            f"use of {demand.use.model} as {demand.use.replica} serves it, for units at the prices in "
            f"the demand, at most {format_usdc(demand.use.max_cost_micro_usdc)} USDC"
        )
        return (proven("terms", COORDINATOR, words),)
    return (
        proven(
            "terms",
            COORDINATOR,
            f"job {demand.job_hash[:16]}… of image {demand.image}, at most "
            f"{format_usdc(demand.max_price_micro_usdc_per_hour)} USDC/h for {demand.timeout_s} s; "
            f"result verified: {_verified_by(demand)}",
        ),
    )


def _verified_by(demand: Demand) -> str:
    if demand.verify is VerifyMode.NONE:
        return demand.verify.value
    return f"{demand.verify.value}, by {(demand.comparator or EXACT).words()}"


def check_auction(parts: Parts) -> tuple[Item, ...]:
    """Hold the auction again and find the awarded bid in it."""
    demand, award, bids = parts.one(Demand).message, parts.agreed, parts.all(Bid)
    hashes = {link.signed.hash() for link in bids}
    if hashes != {award.bid_hash, *award.other_bid_hashes} or len(hashes) != len(bids):
        raise ReceiptInvalid("the bids are not those that the award names")
    place, ranked = _awarded(bids, demand, award)
    if ranked.node_id != parts.node_id:
        raise ReceiptInvalid("the lease was accepted by a node that did not place the winning bid")
    if ranked.bid.unit_prices != award.unit_prices:
        raise ReceiptInvalid("the award's prices for units are not those of its bid")
    price = format_usdc(award.price_micro_usdc_per_hour)
    if demand.gang is not None:
        if place >= demand.gang.size:
            raise ReceiptInvalid(f"the awarded bid won none of the gang's {demand.gang.size} seats")
        order = claimed(
            "best_bid",
            COORDINATOR,
            f"that nobody else bid: rank {place} of the {demand.gang.size} that won seats at once",
        )
    elif place == 0:
        order = claimed(
            "best_bid", COORDINATOR, "that nobody else bid: the best of the bids here won"
        )
    else:
        order = claimed(
            "best_bid",
            COORDINATOR,
            f"that the {place} better bids here were offered the lease first, and nobody else bid",
        )
    return (
        proven(
            "auction",
            "each bidder",
            f"{len(bids)} bids, each signed by its node for these terms, all named in the award",
        ),
        proven("price_rule", BOTH, f"{price} USDC/h is what the rules give {parts.node_id}"),
        *_of_start_factors(award),
        order,
    )


def _of_start_factors(award: Award) -> tuple[Item, ...]:
    """Nothing where every bidder was taken at its word."""
    slow = len(award.start_factors_permille)
    words = f"that the nodes of {slow} bids start slower than they say, by the factors in the award"
    return (claimed("start_factors", COORDINATOR, words),) if slow else ()


def check_agreement(parts: Parts) -> tuple[Item, ...]:
    """The node accepted this award for this lease."""
    award, accept = parts.agreed, parts.one(Accept).message
    if award.lease_id != parts.lease_id or accept.lease_id != parts.lease_id:
        raise ReceiptInvalid("award or accept is for another lease")
    if accept.award_hash != award.hash():
        raise ReceiptInvalid("what was accepted is not this award")
    most = format_usdc(award.max_cost_micro_usdc)
    return (
        proven(
            "agreement",
            BOTH,
            f"lease {parts.lease_id}: at most {award.timeout_s} s and {most} USDC",
        ),
    )


def check_run(parts: Parts) -> tuple[Item, ...]:
    """The events follow one another and end with a result."""
    previous, started = parts.one(Accept).message.hash(), None
    for number, link in enumerate(parts.all(Event)):
        event: Event = link.message
        if event.lease_id != parts.lease_id:
            raise ReceiptInvalid(f"event {number} is not of this lease")
        if event.number != number or event.previous_hash != previous:
            raise ReceiptInvalid(f"event {number} does not follow the one before it")
        if event.kind is EventKind.STARTED:
            started = event
        previous = event.hash()
    result = result_of(parts)
    return (
        claimed("start", NODE, f"the container started at {started.at_ms} ms by the node's clock")
        if started
        else absent("start", "the node reported no running container"),
        proven(
            "result",
            NODE,
            f"the node reported {result.outcome.value}, exit code {result.exit_code}, "
            f"{result.metered_ms / 1000:.3f} s, a log of {result.logs_bytes} bytes",
        ),
        proven(
            "outputs",
            NODE,
            f"the node named {len(result.outputs)} output files, each by its SHA-256",
        ),
        claimed("execution", NODE, "that the program really ran as reported"),
        *_of_reclaim(parts),
        *_of_checkpoints(result),
    )


def _of_checkpoints(result: Result) -> tuple[Item, ...]:
    """Nothing where the job began from nothing and has kept nothing."""
    found = []
    if (began := result.resumed) is not None:
        found.append(
            claimed(
                "resumed",
                NODE,
                f"that the job began from checkpoint {began.sequence}, manifest {began.manifest_sha256}",
            )
        )
    if (left := result.checkpoint) is not None:
        found.append(
            proven(
                "checkpoint",
                NODE,
                f"the node named checkpoint {left.sequence} as what the run has kept: {left.files} files "
                f"of {left.size_bytes} bytes, manifest {left.manifest_sha256}",
            )
        )
    return tuple(found)


def _of_reclaim(parts: Parts) -> tuple[Item, ...]:
    """Nothing where the node did not take its machine back."""
    ended: Event = parts.all(Event)[-1].message
    warnings = [
        link.message.at_ms for link in parts.all(Event) if link.message.kind is EventKind.RECLAIMED
    ]
    if not warnings and result_of(parts).outcome is not Outcome.PREEMPTED:
        return ()
    bid = next(
        link.message for link in parts.all(Bid) if link.signed.hash() == parts.agreed.bid_hash
    )
    if not bid.reclaim_window_s:
        return (
            proven("reclaim", NODE, "the node took its machine back without having agreed on it"),
        )
    warned = (
        f"warned the job {(ended.at_ms - warnings[0]) / 1000:.1f} s before its end was reported"
        if warnings
        else "ended the lease before its job ran"
    )
    words = f"the node {warned}, by its own clock; agreed were {bid.reclaim_window_s} s"
    return (proven("reclaim", NODE, words),)


def result_of(parts: Parts) -> Result:
    """The result that the last event has.

    Raises:
        ReceiptInvalid: it has none.
    """
    last: Event = parts.all(Event)[-1].message
    if last.kind is not EventKind.FINISHED or last.result is None:
        raise ReceiptInvalid("the events do not end with a result")
    return last.result


def check_order(parts: Parts) -> tuple[Item, ...]:
    """What came before what: by hashes it is proven, by clocks it is said."""
    envelopes = [link.envelope for links in parts.links.values() for link in links if link.envelope]
    first = min(item.sent_at_ms for item in envelopes)
    last = max(item.sent_at_ms for item in envelopes)
    behind_ms = _disorder_ms(parts)
    agree = (
        f"they agree with the order within {CLOCK_TOLERANCE_MS // 1000} s"
        if behind_ms <= CLOCK_TOLERANCE_MS
        else f"they are {behind_ms / 1000:.0f} s against the order of what they stamp"
    )
    return (
        proven(
            "order",
            BOTH,
            "demand, bids, award, accept and events came in this order: each names the hash of "
            "what it follows",
        ),
        claimed("clocks", BOTH, f"from {first} to {last} ms Unix time; {agree}"),
    )


def _start_factors(bids: Sequence[Link[Bid]], award: Award) -> dict[str, int]:
    """What each bidder's word on its start was multiplied by, as the award names it."""
    named = award.start_factors_permille
    if not named.keys() <= {link.signed.hash() for link in bids}:
        raise ReceiptInvalid("the award names a start factor of a bid that is not there")
    return {link.signed.sender: named.get(link.signed.hash(), PUNCTUAL_PERMILLE) for link in bids}


def _awarded(bids: Sequence[Link[Bid]], demand: Demand, award: Award) -> tuple[int, RankedBid]:
    """Place and ranked bid of the awarded one."""
    auction = Auction(
        demand.max_price_micro_usdc_per_hour,
        frozenset(link.signed.sender for link in bids),
        demand.gang,
    )
    for link in bids:
        if link.message.demand_hash != demand.hash():
            raise ReceiptInvalid(f"the bid of {link.signed.sender} is for another demand")
        auction.bid(link.signed.sender, link.message, link.signed.hash())
    for place, ranked in enumerate(auction.ranking(_start_factors(bids, award))):
        if ranked.bid_hash == award.bid_hash:
            if ranked.award_price_micro_usdc_per_hour != award.price_micro_usdc_per_hour:
                raise ReceiptInvalid(
                    f"awarded at {award.price_micro_usdc_per_hour} micro-USDC/h; the bids give "
                    f"{ranked.award_price_micro_usdc_per_hour}"
                )
            return place, ranked
    raise ReceiptInvalid("the awarded bid was above the client's maximum")


def _disorder_ms(parts: Parts) -> int:
    """How far the stamps of what follows by hash lie before what it follows, at most."""
    story: list[Envelope] = [
        parts.one(Demand).signed,
        parts.one(Award).signed,
        parts.one(Accept).signed,
        *(link.signed for link in parts.all(Event)),
    ]
    latest_ms, behind_ms = 0, 0
    for envelope in story:
        behind_ms = max(behind_ms, latest_ms - envelope.sent_at_ms)
        latest_ms = max(latest_ms, envelope.sent_at_ms)
    return behind_ms
