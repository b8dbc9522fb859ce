"""One lease's evidence, signed by everybody who takes part, as a coordinator would keep it."""

import hashlib
from dataclasses import dataclass, replace

from neurogrid_marketplace import base58
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.comparator import Comparator
from neurogrid_marketplace.demand import Demand, VerifyMode
from neurogrid_marketplace.envelope import Envelope, network_id, seal
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import address_bytes
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import (
    Award,
    Claimed,
    Event,
    EventKind,
    Message,
    Meter,
    Result,
    VoucherLink,
    VoucherMessage,
    to_body,
    type_name,
)
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.payment_chain import PaymentChain, extended, next_link
from neurogrid_marketplace.receipt import (
    Evidence,
    SettlementStatement,
    build_receipt,
    escrow_job_id,
)
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_marketplace.voucher import Voucher

from .keys import Person, person
from .market import demand as make_demand

GENESIS, PROGRAM = "genesis", person("program").address
NETWORK = network_id(GENESIS, PROGRAM)
COORDINATOR, WINNER, LOSER = person("coordinator"), person("winner"), person("loser")
SESSION_KEY = person("session")
TASK_ID, LEASE_ID = "task_" + "1" * 32, "lease_" + "2" * 32
JOB = Job("image:1", ("true",))
METERED_MS = 75_000
# Two meters whose vouchers are linked, and one whose voucher is not.
METERS_MS = (30_000, 62_000, 74_000)
TRANSACTION = base58.encode(b"\x01" * 64)


def signed(sender: Person, recipient: Person, message: Message) -> Envelope:
    return seal(
        sender.sign,
        network=NETWORK,
        type=type_name(message),
        sender=sender.peer_id,
        recipient=recipient.peer_id,
        session="s",
        sequence=0,
        sent_at_ms=1,
        body=to_body(message),
    )


def voucher(amount: int, *, final: bool = False, link: VoucherLink | None = None) -> VoucherMessage:
    statement = Voucher(7, escrow(), 3, amount)
    signature = SESSION_KEY.sign(statement.message()).hex()
    return VoucherMessage(LEASE_ID, amount, signature, final, link)


@dataclass(frozen=True)
class Payments:
    """Meters and vouchers, as the node and the coordinator made them."""

    meters: tuple[Envelope, ...]
    vouchers: tuple[VoucherMessage, ...]
    chain: PaymentChain


def pay(award: Award) -> Payments:
    """The payments of the run, but for the final voucher."""
    chain = PaymentChain()
    meters, vouchers = [], []
    for number, metered_ms in enumerate(METERS_MS):
        amount = cost_micro_usdc(award.price_micro_usdc_per_hour, metered_ms)
        meter = Meter(LEASE_ID, metered_ms, amount, chain.head)
        meters.append(signed(WINNER, COORDINATOR, meter))
        if number < 2:
            vouchers.append(voucher(amount, link=next_link(chain, meter.hash())))
            chain = extended(chain, vouchers[-1], meter)
    return Payments(tuple(meters), tuple(vouchers), chain)


def evidence(
    *,
    price_change: int = 0,
    result: Result | None = None,
    held: str | None = None,
    final_micro_usdc: int | None = None,
    factors: tuple[int, int] = (1000, 1000),
    named: bool = True,
    sealed: bool = False,
    silent: Person | None = None,
    late: Person | None = None,
    comparator: Comparator | None = None,
) -> tuple[Evidence, Award]:
    """All but the settlement.

    Args:
        price_change: makes the award differ from what the rules give.
        held: the voucher that the result names instead of the last one.
        final_micro_usdc: what the final voucher is over instead of what was metered.
        factors: what the winner's and the loser's word on their start is multiplied by.
        named: whether the award says so.
        sealed: bids were committed to before; silent: who then showed none.
        late: who bids without having committed.
        comparator: of a quorum that verifies it.
    """
    demand: Demand = make_demand(
        job_hash=JOB.hash(),
        sealed_bids=sealed,
        verify=VerifyMode.QUORUM if comparator else VerifyMode.NONE,
        comparator=comparator,
    )
    asks = {WINNER: 20_000, LOSER: 30_000} | ({late: 25_000} if late else {})
    auction = Auction(demand.max_price_micro_usdc_per_hour, frozenset(who.peer_id for who in asks))
    bids, commits = [], []
    listed: dict[str, str] = {}

    def commit(who: Person, to: str) -> None:
        listed[who.peer_id] = to
        commits.append(signed(who, COORDINATOR, Commit(demand.demand_id, demand.hash(), to)))

    for who, price in asks.items():
        bid = Bid(demand.demand_id, demand.hash(), price, 300, 10**13, who.address)
        if sealed:
            bid = replace(bid, nonce=hashlib.sha256(who.address.encode()).hexdigest())
        if sealed and who is not late:
            commit(who, commitment(who.peer_id, bid))
        bids.append(signed(who, COORDINATOR, bid))
        auction.bid(who.peer_id, bid, bids[-1].hash())
    if silent is not None:
        commit(silent, "1" * 64)
    reveal = Reveal(demand.demand_id, listed)
    by_node = dict(zip((WINNER.peer_id, LOSER.peer_id), factors, strict=True))
    best = auction.ranking(by_node)[0]
    by_bid = {envelope.hash(): by_node.get(envelope.sender, 1000) for envelope in bids}
    price = best.award_price_micro_usdc_per_hour + price_change
    award = Award(
        LEASE_ID,
        demand.demand_id,
        demand.hash(),
        best.bid_hash,
        tuple(other.hash() for other in bids[1:]),
        price,
        cost_micro_usdc(price, demand.timeout_s * 1000),
        demand.timeout_s,
        demand.voucher_interval_s,
        demand.job_hash,
        {digest: factor for digest, factor in by_bid.items() if factor != 1000} if named else {},
        reveal.hash() if sealed else "",
    )
    accept = agreement(award)
    payments = pay(award)
    result = result or Result(Outcome.COMPLETED, 0, "", METERED_MS)
    result = replace(result, voucher_hash=payments.chain.head if held is None else held)
    previous, events = accept.hash(), []
    for number, kind in enumerate((EventKind.PREPARING, EventKind.STARTED, EventKind.FINISHED)):
        ending = result if kind is EventKind.FINISHED else None
        event = Event(LEASE_ID, number, kind, number, previous, ending)
        previous = event.hash()
        events.append(signed(WINNER, COORDINATOR, event))
    amount = cost_micro_usdc(price, METERED_MS) if final_micro_usdc is None else final_micro_usdc
    final = voucher(amount, final=True, link=next_link(payments.chain, previous))
    return (
        {
            "demand": [signed(COORDINATOR, WINNER, demand)],
            "commit": commits,
            "reveal": [signed(COORDINATOR, WINNER, reveal)] if sealed else [],
            "bid": bids,
            "award": [signed(COORDINATOR, WINNER, award)],
            "accept": [signed(WINNER, COORDINATOR, accept)],
            "event": events,
            "meter": payments.meters,
            "voucher": [*payments.vouchers, final],
            "claimed": [signed(WINNER, COORDINATOR, Claimed(LEASE_ID, TRANSACTION))],
        },
        award,
    )


def escrow() -> bytes:
    return hashlib.sha256(
        b"escrow"
        + address_bytes(person("client account").address)
        + escrow_job_id(LEASE_ID)
        + bytes([254])
        + address_bytes(PROGRAM)
        + b"ProgramDerivedAddress"
    ).digest()


def statement(award: Award, **changes: object) -> SettlementStatement:
    made = SettlementStatement(
        program_id=PROGRAM,
        domain=7,
        client=person("client").address,
        client_account=person("client account").address,
        escrow=base58.encode(escrow()),
        escrow_bump=254,
        escrow_sequence=3,
        voucher_signer=SESSION_KEY.address,
        transaction=TRANSACTION,
        paid_micro_usdc=cost_micro_usdc(award.price_micro_usdc_per_hour, METERED_MS),
        closed_at_ms=9,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the fields of a statement


def receipt(
    parts: Evidence, settlement: SettlementStatement, *, signer: Person = COORDINATOR
) -> bytes:
    return build_receipt(
        signer.sign,
        network=NETWORK,
        coordinator=COORDINATOR.peer_id,
        task_id=TASK_ID,
        lease_id=LEASE_ID,
        evidence={**parts, "settlement": [settlement]},
    )


def honest_receipt() -> bytes:
    parts, award = evidence()
    return receipt(parts, statement(award))
