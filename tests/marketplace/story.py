"""One lease's evidence, signed by everybody who takes part, as a coordinator would keep it."""

import hashlib
from dataclasses import replace

from neurogrid_marketplace import base58
from neurogrid_marketplace.auction import Auction
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, network_id, seal
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.identity import address_bytes
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import (
    Award,
    Event,
    EventKind,
    Message,
    Result,
    to_body,
    type_name,
)
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.receipt import (
    Evidence,
    SettlementStatement,
    build_receipt,
    escrow_job_id,
)
from neurogrid_marketplace.voucher import Voucher

from .keys import Person, person
from .market import demand as make_demand

GENESIS, PROGRAM = "genesis", person("program").address
NETWORK = network_id(GENESIS, PROGRAM)
COORDINATOR, WINNER, LOSER = person("coordinator"), person("winner"), person("loser")
SESSION_KEY = person("session")
TASK_ID, LEASE_ID = "task_" + "1" * 32, "lease_" + "2" * 32
JOB = Job("image:1", ("true",))
METERED_MS = 3_600


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


def evidence(*, price_change: int = 0, result: Result | None = None) -> tuple[Evidence, Award]:
    """``price_change`` makes the award differ from what the rules give."""
    demand: Demand = make_demand(job_hash=JOB.hash())
    bids = []
    for who, price in ((WINNER, 20_000), (LOSER, 30_000)):
        bid = Bid(demand.demand_id, demand.hash(), price, 300, 10**13, who.address)
        bids.append(signed(who, COORDINATOR, bid))
    auction = Auction(
        demand.max_price_micro_usdc_per_hour, frozenset({WINNER.peer_id, LOSER.peer_id})
    )
    for who, envelope, price in zip((WINNER, LOSER), bids, (20_000, 30_000), strict=True):
        bid = Bid(demand.demand_id, demand.hash(), price, 300, 10**13, who.address)
        auction.bid(who.peer_id, bid, envelope.hash())
    best = auction.ranking()[0]
    price = best.award_price_micro_usdc_per_hour + price_change
    award = Award(
        LEASE_ID,
        demand.demand_id,
        demand.hash(),
        best.bid_hash,
        (bids[1].hash(),),
        price,
        cost_micro_usdc(price, demand.timeout_s * 1000),
        demand.timeout_s,
        demand.voucher_interval_s,
        demand.job_hash,
    )
    accept = agreement(award)
    result = result or Result(Outcome.COMPLETED, 0, "", METERED_MS)
    previous, events = accept.hash(), []
    for number, kind in enumerate(EventKind):
        ending = result if kind is EventKind.FINISHED else None
        event = Event(LEASE_ID, number, kind, number, previous, ending)
        previous = event.hash()
        events.append(signed(WINNER, COORDINATOR, event))
    return (
        Evidence(
            signed(COORDINATOR, WINNER, demand),
            tuple(bids),
            signed(COORDINATOR, WINNER, award),
            signed(WINNER, COORDINATOR, accept),
            tuple(events),
        ),
        award,
    )


def statement(award: Award, **changes: object) -> SettlementStatement:
    client_account = person("client account").address
    digest = hashlib.sha256(
        b"escrow"
        + address_bytes(client_account)
        + escrow_job_id(LEASE_ID)
        + bytes([254])
        + address_bytes(PROGRAM)
        + b"ProgramDerivedAddress"
    ).digest()
    amount = cost_micro_usdc(award.price_micro_usdc_per_hour, METERED_MS)
    voucher = Voucher(7, digest, 3, amount)
    made = SettlementStatement(
        program_id=PROGRAM,
        domain=7,
        client=person("client").address,
        client_account=client_account,
        escrow=base58.encode(digest),
        escrow_bump=254,
        escrow_sequence=3,
        voucher_signer=SESSION_KEY.address,
        cumulative_micro_usdc=amount,
        voucher_signature=SESSION_KEY.sign(voucher.message()).hex(),
        transaction=base58.encode(b"\x01" * 64),
        paid_micro_usdc=amount,
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
        evidence=parts,
        settlement=settlement,
    )


def honest_receipt() -> bytes:
    parts, award = evidence()
    return receipt(parts, statement(award))
