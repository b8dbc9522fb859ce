"""A lease for use as its messages: a replica is auctioned, a client's lease for its use is served, billed and paid."""

import hashlib
from dataclasses import dataclass, replace

from solders.pubkey import Pubkey

from neurogrid_marketplace import base58
from neurogrid_marketplace.bid import Bid
from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.exposure import must_hold_back, signable_for_use_micro_usdc
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.job import Job
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Acknowledge,
    Attach,
    Award,
    Claimed,
    Event,
    EventKind,
    Hello,
    Meter,
    Result,
    Start,
    VoucherMessage,
    Welcome,
)
from neurogrid_marketplace.offer import Offer, PriceList
from neurogrid_marketplace.payment_chain import PaymentChain, extended, next_link
from neurogrid_marketplace.receipt import SettlementStatement, build_receipt, escrow_job_id
from neurogrid_marketplace.resources import Capacity, Requirements
from neurogrid_marketplace.serving import Serves, ServingTerms, Use
from neurogrid_marketplace.units import MAX_UNIT_PRICE, MAX_UNITS, UnitPrices, Units
from neurogrid_marketplace.voucher import Voucher

from .lease_story import DEMAND, DOMAIN, ESCROW_SEQUENCE, GIB, MARKET, NETWORK, T0_MS, Stream
from .parties import CLIENT, COORDINATOR, VOUCHER_SIGNER, WINNER

MODEL = "meta-llama/Llama-3.2-1B-Instruct"
IMAGE = "neurogrid/model-text:1"
MOST = UnitPrices(input_tokens=200_000, cached_input_tokens=100_000, output_tokens=600_000)
PRICES = replace(MOST, input_tokens=150_000, cached_input_tokens=75_000)
REPLICA, LEASE_ID = "lease_" + "4e" * 16, "lease_" + "5f" * 16
TASK_ID = "task_" + "6a" * 16
SERVED = Units(input_tokens=1_200, cached_input_tokens=300, output_tokens=451, requests=2)
# The last pieces did not reach the client.
BILLED = replace(SERVED, output_tokens=440)
_FULL = Capacity(8_000, 32 * GIB, 100 * GIB)

REPLICA_DEMAND = replace(
    DEMAND,
    demand_id="demand_" + "7b" * 16,
    image=IMAGE,
    input_bytes=0,
    max_price_micro_usdc_per_hour=20_000,
    timeout_s=86_400,
    serves=Serves(MODEL, MOST),
)
JOB = Job(IMAGE, uses=REPLICA)
USE = Use(REPLICA, MODEL, PRICES, max_cost_micro_usdc=50_000, idle_s=120)
USE_DEMAND = Demand(
    demand_id="demand_" + "8c" * 16,
    job_hash=JOB.hash(),
    requirements=Requirements(cpu_millis=0, memory_bytes=0, disk_bytes=0),
    image=IMAGE,
    input_bytes=0,
    max_price_micro_usdc_per_hour=0,
    timeout_s=3_600,
    bid_window_ms=1_000,
    voucher_interval_s=5,
    dead_after_s=45,
    use=USE,
)


@dataclass(frozen=True, slots=True)
class UseStory:
    """What was said, and the receipt of it."""

    streams: tuple[Stream, ...]
    receipt: bytes


def _bid(demand: Demand, price_micro_usdc_per_hour: int) -> Bid:
    return Bid(
        demand.demand_id,
        demand.hash(),
        price_micro_usdc_per_hour,
        300,
        T0_MS + 15_250,
        WINNER.address,
        unit_prices=PRICES,
    )


def _award(demand: Demand, bid: Envelope, lease_id: str, price: int) -> Award:
    return Award(
        lease_id=lease_id,
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        bid_hash=bid.hash(),
        other_bid_hashes=(),
        price_micro_usdc_per_hour=price,
        max_cost_micro_usdc=demand.max_cost_at_micro_usdc(price),
        timeout_s=demand.timeout_s,
        voucher_interval_s=demand.voucher_interval_s,
        job_hash=demand.job_hash,
        unit_prices=PRICES,
    )


def _voucher(amount: int, chain: PaymentChain, answers: str, *, final: bool) -> VoucherMessage:
    statement = Voucher(DOMAIN, bytes(_escrow()), ESCROW_SEQUENCE, amount)
    signature = VOUCHER_SIGNER.sign(statement.message()).hex()
    return VoucherMessage(LEASE_ID, amount, signature, final, next_link(chain, answers))


def _escrow() -> Pubkey:
    return MARKET.escrow(Pubkey(CLIENT.public_key), escrow_job_id(LEASE_ID))


def tell_use(billed: Units | None = BILLED, due_micro_usdc: int | None = None) -> UseStory:
    """The whole story; the same in every run.

    Args:
        billed: what the coordinator states that it has passed on.
        due_micro_usdc: what the final voucher is over, where it is not the cost of that.
    """
    control = Stream(WINNER, "control-of-use", PROTOCOL_ID)
    control.coordinator_says(Welcome(control.name, "neurogrid/1.0"))
    offer = Offer(
        node_id=WINNER.peer_id,
        wallet=WINNER.address,
        software="neurogrid/1.0",
        region="eu-central",
        total=_FULL,
        free=_FULL,
        prices=PriceList(gpu_micro_usdc_per_hour=600_000),
        serving=ServingTerms(10_000, (MODEL,)),
    )
    control.node_says(Hello(offer))
    control.coordinator_says(REPLICA_DEMAND)
    replica_bid = control.node_says(_bid(REPLICA_DEMAND, 10_000))
    replica = _award(REPLICA_DEMAND, replica_bid, REPLICA, 10_000)
    control.coordinator_says(replica)
    control.node_says(agreement(replica))

    demand = control.coordinator_says(USE_DEMAND)
    bid = control.node_says(_bid(USE_DEMAND, 0))
    award = _award(USE_DEMAND, bid, LEASE_ID, 0)
    award_envelope = control.coordinator_says(award)
    accept = control.node_says(agreement(award))

    stream = Stream(WINNER, "lease-for-use", LEASE_PROTOCOL_ID)
    stream.coordinator_says(Welcome(stream.name, "neurogrid/1.0"))
    stream.node_says(Attach(LEASE_ID, has_start=False, events=0))
    stream.coordinator_says(
        Start(
            lease_id=LEASE_ID,
            job=JOB,
            client=CLIENT.address,
            escrow=str(_escrow()),
            voucher_signer=VOUCHER_SIGNER.address,
            artifacts_url="https://coordinator.example/api/v1/artifacts",
            artifacts_token="token-of-this-lease",
        )
    )
    preparing = Event(LEASE_ID, 0, EventKind.PREPARING, T0_MS, agreement(award).hash())
    started = Event(LEASE_ID, 1, EventKind.STARTED, T0_MS + 400, preparing.hash())
    events = [stream.node_says(preparing), stream.node_says(started)]
    half = Units(input_tokens=700, output_tokens=200, requests=1)
    meter = Meter(LEASE_ID, 5_000, PRICES.cost_micro_usdc(half), served=half)
    meter_envelope = stream.node_says(meter)
    amount = signable_for_use_micro_usdc(PRICES, USE.max_cost_micro_usdc, half)
    voucher = _voucher(amount, PaymentChain(), meter.hash(), final=False)
    stream.coordinator_says(voucher)
    chain = extended(PaymentChain(), voucher, meter)
    result = Result(
        Outcome.COMPLETED,
        0,
        "nothing was asked of it for 120 s",
        131_000,
        voucher_hash=voucher.hash(),
        served=SERVED,
    )
    ended = Event(LEASE_ID, 2, EventKind.FINISHED, T0_MS + 131_400, started.hash(), result)
    events.append(stream.node_says(ended))
    stream.coordinator_says(Acknowledge(LEASE_ID, 3, 0))
    due = due_micro_usdc
    if due is None:
        due = signable_for_use_micro_usdc(PRICES, USE.max_cost_micro_usdc, billed or BILLED)
    final = _voucher(due, chain, ended.hash(), final=True)
    stream.coordinator_says(final)
    transaction = base58.encode(hashlib.sha512(b"transaction of use").digest())
    claimed = stream.node_says(Claimed(LEASE_ID, transaction))
    stream.coordinator_says(Acknowledge(LEASE_ID, 3, 0, closed=True))

    client_account = MARKET.client(Pubkey(CLIENT.public_key))
    _, bump = Pubkey.find_program_address(
        [b"escrow", bytes(client_account), escrow_job_id(LEASE_ID)], MARKET.program_id
    )
    settlement = SettlementStatement(
        program_id=str(MARKET.program_id),
        domain=DOMAIN,
        client=CLIENT.address,
        client_account=str(client_account),
        escrow=str(_escrow()),
        escrow_bump=bump,
        escrow_sequence=ESCROW_SEQUENCE,
        voucher_signer=VOUCHER_SIGNER.address,
        transaction=transaction,
        paid_micro_usdc=due,
        closed_at_ms=T0_MS + 140_000,
        billed=billed,
    )
    receipt = build_receipt(
        COORDINATOR.sign,
        network=NETWORK,
        coordinator=COORDINATOR.peer_id,
        task_id=TASK_ID,
        lease_id=LEASE_ID,
        evidence={
            "demand": [demand],
            "bid": [bid],
            "award": [award_envelope],
            "accept": [accept],
            "event": events,
            "meter": [meter_envelope],
            "voucher": [voucher, final],
            "claimed": [claimed],
            "settlement": [settlement],
        },
    )
    return UseStory((control, stream), receipt)


def units() -> Json:
    """What units cost, and when a node holds back."""
    one = Units(output_tokens=1)
    cases = (
        (UnitPrices(), Units(requests=5)),
        (PRICES, one),
        (PRICES, SERVED),
        (UnitPrices(images=40_000 * 1_000_000), Units(images=3)),
        (UnitPrices(audio_ms=100_000, requests=1), Units(audio_ms=1_500, requests=1)),
        (UnitPrices(*[MAX_UNIT_PRICE] * 6), Units(*[MAX_UNITS] * 6)),
    )
    return {
        "costs": [
            {
                "prices": plain(prices),
                "units": plain(of),
                # Beyond what a number of JavaScript's is exact to.
                "cost_micro_usdc": str(prices.cost_micro_usdc(of)),
            }
            for prices, of in cases
        ],
        "of_requests": {
            "prices": plain(PRICES),
            "requests": [
                {
                    "units": plain(one),
                    "cost_micro_usdc": PRICES.cost_of_next_micro_usdc(before, one),
                }
                for before in (Units(output_tokens=count) for count in range(4))
            ],
        },
        "holds_back": [
            {
                "prices": plain(PRICES),
                "units": plain(Units(output_tokens=tokens)),
                "voucher_micro_usdc": 60,
                "max_unpaid_micro_usdc": 100,
                "holds_back": must_hold_back(PRICES, Units(output_tokens=tokens), 60, 100),
            }
            for tokens in (266, 267)
        ],
    }
