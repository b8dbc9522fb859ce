"""One lease as its messages: three nodes are asked, one wins, works, is paid and forgotten.

Every kind of message occurs. Each stream is a session of its own, numbered from 0 on each side. The lease
has two, as if the first had been lost while the job ran.
"""

import hashlib
from dataclasses import dataclass, field, replace

from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_marketplace import base58
from neurogrid_marketplace.auction import Auction, RankedBid
from neurogrid_marketplace.bid import Bid, Decline, DeclineCode
from neurogrid_marketplace.checkpoint import CheckpointPlan
from neurogrid_marketplace.checkpoint_manifest import Manifest, manifest_of
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.envelope import Envelope, network_id, seal
from neurogrid_marketplace.execution import agreement
from neurogrid_marketplace.faults import Outcome
from neurogrid_marketplace.job import InputFile, Job, OutputFile
from neurogrid_marketplace.messages import (
    LEASE_PROTOCOL_ID,
    PROTOCOL_ID,
    Acknowledge,
    Attach,
    Award,
    CheckpointTaken,
    Claimed,
    Deny,
    Event,
    EventKind,
    Funded,
    Heartbeat,
    Hello,
    Log,
    Message,
    Meter,
    Pulse,
    Result,
    Start,
    Stop,
    VoucherLink,
    VoucherMessage,
    Welcome,
    to_body,
    type_name,
)
from neurogrid_marketplace.money import cost_micro_usdc
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus, Offer, PriceList
from neurogrid_marketplace.payment_chain import PaymentChain, extended, next_link
from neurogrid_marketplace.receipt import (
    SettlementStatement,
    build_receipt,
    escrow_job_id,
)
from neurogrid_marketplace.resources import Capacity, Gpu, Requirements
from neurogrid_marketplace.sealing import Commit, Reveal, commitment
from neurogrid_marketplace.voucher import Voucher

from .parties import CLIENT, COORDINATOR, DECLINER, LOSER, VOUCHER_SIGNER, WINNER, Party, party

GIB = 1024**3
GENESIS_HASH = base58.encode(hashlib.sha256(b"genesis").digest())
MARKET = Deployment(
    program_id=Pubkey(party("program").public_key),
    usdc_mint=Pubkey(party("mint").public_key),
    admin=Pubkey(party("admin").public_key),
)
NETWORK = network_id(GENESIS_HASH, str(MARKET.program_id))
DOMAIN = 7_777
ESCROW_SEQUENCE = 3
T0_MS = 1_750_000_000_000
METERED_MS = 42_500
TASK_ID, LEASE_ID = "task_" + "1a" * 16, "lease_" + "2b" * 16
LOG_GRANT_BYTES = 131_072
LOG_TEXT = "grüße, 世界\nNEUROGRID_PROGRESS 0.5 half\n"

SEALING_KEY = hashlib.sha256(b"sealing key of the lease").hexdigest()
JOB = Job(
    image="neurogrid/job:1",
    command=("python3", "-c", 'print("grüße, \\u4e16\\u754c")\n'),
    environment={"LEVEL": "3", "A_TAB": "\t"},
    inputs=(
        InputFile("data/words.txt", hashlib.sha256(b"words").hexdigest(), 5),
        InputFile("secret.bin", hashlib.sha256(b"sealed").hexdigest(), 57, sealed=True),
    ),
    checkpoint=CheckpointPlan(interval_s=20, keep=2),
)
MANIFEST = manifest_of(
    (
        OutputFile("step", hashlib.sha256(b"7").hexdigest(), 1),
        OutputFile("größen/weights.bin", hashlib.sha256(b"weights").hexdigest(), 7),
    )
)
RESUMED, TAKEN = Manifest(()).checkpoint(3), MANIFEST.checkpoint(4)
DEMAND = Demand(
    demand_id="demand_" + "3c" * 16,
    job_hash=JOB.hash(),
    requirements=Requirements(cpu_millis=2000, gpu_count=1, gpu_memory_bytes=16 * GIB),
    image=JOB.image,
    input_bytes=62,
    max_price_micro_usdc_per_hour=900_000,
    timeout_s=600,
    bid_window_ms=250,
    voucher_interval_s=30,
    dead_after_s=45,
)


@dataclass(slots=True)
class Stream:
    """One session between the coordinator and a node; numbers what each side says.

    Attributes:
        name: of its session, which the coordinator's welcome gives it.
        protocol: that the stream was opened with.
    """

    node: Party
    name: str
    protocol: str
    said: list[Envelope] = field(default_factory=list)

    def node_says(self, message: Message) -> Envelope:
        """Node to coordinator."""
        return self._say(self.node, COORDINATOR, message)

    def coordinator_says(self, message: Message) -> Envelope:
        """Coordinator to node."""
        return self._say(COORDINATOR, self.node, message)

    def _say(self, sender: Party, recipient: Party, message: Message) -> Envelope:
        envelope = seal(
            sender.sign,
            network=NETWORK,
            type=type_name(message),
            sender=sender.peer_id,
            recipient=recipient.peer_id,
            session=self.name,
            sequence=sum(other.sender == sender.peer_id for other in self.said),
            sent_at_ms=T0_MS + len(self.said),
            body=to_body(message),
        )
        self.said.append(envelope)
        return envelope


@dataclass(frozen=True, slots=True)
class Story:
    """What was said, and the receipt of it."""

    streams: tuple[Stream, ...]
    ranking: tuple[RankedBid, ...]
    voucher: Voucher
    receipt: bytes


def _capacity() -> Capacity:
    gpu = Gpu("GPU-0", "NVIDIA GeForce RTX 4090", 24 * GIB, "8.9")
    return Capacity(8_000, 32 * GIB, 100 * GIB, (gpu,))


def _join(node: Party) -> Stream:
    control = Stream(node, f"control-of-{node.name}", PROTOCOL_ID)
    control.coordinator_says(Welcome(control.name, "neurogrid/1.0"))
    offer = Offer(
        node_id=node.peer_id,
        wallet=node.address,
        software="neurogrid/1.0",
        region="eu-central",
        total=_capacity(),
        free=_capacity(),
        prices=PriceList(gpu_micro_usdc_per_hour=600_000),
        images=(JOB.image,),
    )
    control.node_says(Hello(offer))
    control.coordinator_says(Pulse(T0_MS))
    control.coordinator_says(DEMAND)
    return control


def _attach(node: Party, number: int, *, has_start: bool, events: int) -> Stream:
    stream = Stream(node, f"lease-of-{node.name}-{number}", LEASE_PROTOCOL_ID)
    stream.coordinator_says(Welcome(stream.name, "neurogrid/1.0"))
    stream.node_says(Attach(LEASE_ID, has_start, events))
    return stream


def _stored(events: int, log_bytes: int, *, closed: bool = False) -> Acknowledge:
    return Acknowledge(LEASE_ID, events, log_bytes, closed, log_bytes + LOG_GRANT_BYTES)


def _bid(node: Party, price_micro_usdc_per_hour: int, start_ms: int) -> Bid:
    return Bid(
        DEMAND.demand_id,
        DEMAND.hash(),
        price_micro_usdc_per_hour,
        start_ms,
        T0_MS + 15_250,
        node.address,
    )


def _award(best: RankedBid, others: tuple[str, ...]) -> Award:
    price = best.award_price_micro_usdc_per_hour
    return Award(
        lease_id=LEASE_ID,
        demand_id=DEMAND.demand_id,
        demand_hash=DEMAND.hash(),
        bid_hash=best.bid_hash,
        other_bid_hashes=others,
        price_micro_usdc_per_hour=price,
        max_cost_micro_usdc=cost_micro_usdc(price, DEMAND.timeout_s * 1000),
        timeout_s=DEMAND.timeout_s,
        voucher_interval_s=DEMAND.voucher_interval_s,
        job_hash=DEMAND.job_hash,
    )


def tell() -> Story:
    """The whole story; the same in every run."""
    winner, loser, decliner = _join(WINNER), _join(LOSER), _join(DECLINER)
    bids = {
        WINNER: winner.node_says(_bid(WINNER, 600_000, 400)),
        LOSER: loser.node_says(_bid(LOSER, 640_000, 120_400)),
    }
    decliner.node_says(Decline(DEMAND.demand_id, DeclineCode.BUSY))
    auction = Auction(
        DEMAND.max_price_micro_usdc_per_hour,
        frozenset({WINNER.peer_id, LOSER.peer_id, DECLINER.peer_id}),
    )
    auction.bid(WINNER.peer_id, _bid(WINNER, 600_000, 400), bids[WINNER].hash())
    auction.bid(LOSER.peer_id, _bid(LOSER, 640_000, 120_400), bids[LOSER].hash())
    ranking = auction.ranking()
    best, second = ranking

    award = _award(best, (second.bid_hash,))
    award_envelope = winner.coordinator_says(award)
    accept_envelope = winner.node_says(agreement(award, SEALING_KEY))
    first = _attach(WINNER, 1, has_start=False, events=0)
    first.coordinator_says(_stored(0, 0))
    escrow = MARKET.escrow(Pubkey(CLIENT.public_key), escrow_job_id(LEASE_ID))
    start = Start(
        lease_id=LEASE_ID,
        job=JOB,
        client=CLIENT.address,
        escrow=str(escrow),
        voucher_signer=VOUCHER_SIGNER.address,
        artifacts_url="https://coordinator.example/api/v1/artifacts",
        artifacts_token="token-of-this-lease",
        wrapped_key=hashlib.sha512(b"wrapped").hexdigest() + "0" * 32,
        resumed=RESUMED,
        trace=f"00-{'4b' * 16}-{'f0' * 8}-01",
    )
    first.coordinator_says(start)
    result = Result(
        outcome=Outcome.COMPLETED,
        exit_code=0,
        message="",
        metered_ms=METERED_MS,
        outputs=(OutputFile("out/größe.txt", hashlib.sha256(b"42").hexdigest(), 2),),
        logs_sha256=hashlib.sha256(LOG_TEXT.encode()).hexdigest(),
        logs_bytes=len(LOG_TEXT.encode()),
        memory_peak_bytes=50_000_000,
        profile_hash=hashlib.sha256(b"profile").hexdigest(),
        resumed=RESUMED,
        checkpoint=TAKEN,
    )
    run = _run(winner, first, award, result)

    amount = cost_micro_usdc(award.price_micro_usdc_per_hour, METERED_MS)
    final = _voucher(amount, next_link(run.chain, run.last_event.hash()), final=True)
    run.stream.coordinator_says(final)
    transaction = base58.encode(hashlib.sha512(b"transaction").digest())
    claimed = run.stream.node_says(Claimed(LEASE_ID, transaction))
    run.stream.coordinator_says(_stored(3, len(LOG_TEXT.encode()), closed=True))

    # What a node says to an award that comes too late, and what one hears of a lease it should not have.
    other = _award(second, (best.bid_hash,))
    loser.coordinator_says(other)
    loser.node_says(Deny(LEASE_ID, DeclineCode.RESERVATION_EXPIRED))
    unknown = _attach(LOSER, 1, has_start=False, events=0)
    unknown.coordinator_says(Stop(LEASE_ID, Outcome.CANCELLED, "no such lease"))
    # And of one that it was told to end before it had its start.
    ended = _attach(LOSER, 2, has_start=False, events=1)
    ended.coordinator_says(_stored(1, 0))
    ended.coordinator_says(Funded(LEASE_ID, CLIENT.address, str(escrow), VOUCHER_SIGNER.address))

    _sealed(winner)

    client_account = MARKET.client(Pubkey(CLIENT.public_key))
    _, bump = Pubkey.find_program_address(
        [b"escrow", bytes(client_account), escrow_job_id(LEASE_ID)], MARKET.program_id
    )
    settlement = SettlementStatement(
        program_id=str(MARKET.program_id),
        domain=DOMAIN,
        client=CLIENT.address,
        client_account=str(client_account),
        escrow=str(escrow),
        escrow_bump=bump,
        escrow_sequence=ESCROW_SEQUENCE,
        voucher_signer=VOUCHER_SIGNER.address,
        transaction=transaction,
        paid_micro_usdc=amount,
        closed_at_ms=T0_MS + 60_000,
    )
    receipt = build_receipt(
        COORDINATOR.sign,
        network=NETWORK,
        coordinator=COORDINATOR.peer_id,
        task_id=TASK_ID,
        lease_id=LEASE_ID,
        evidence={
            "demand": [next(item for item in winner.said if item.type == "demand")],
            "bid": list(bids.values()),
            "award": [award_envelope],
            "accept": [accept_envelope],
            "event": run.events,
            "meter": [run.meter],
            "voucher": [run.voucher, final],
            "claimed": [claimed],
            "settlement": [settlement],
        },
    )
    voucher = Voucher(DOMAIN, bytes(escrow), ESCROW_SEQUENCE, amount)
    streams = (winner, first, run.stream, loser, unknown, ended, decliner)
    return Story(streams, ranking, voucher, receipt)


def _sealed(control: Stream) -> None:
    """A sealed auction that the node does not win."""
    demand = replace(DEMAND, demand_id="demand_" + "4d" * 16, sealed_bids=True)
    nonce = hashlib.sha256(b"nonce").hexdigest()
    bid = replace(
        _bid(control.node, 610_000, 400),
        demand_id=demand.demand_id,
        demand_hash=demand.hash(),
        nonce=nonce,
    )
    control.coordinator_says(demand)
    ours = commitment(control.node.peer_id, bid)
    control.node_says(Commit(demand.demand_id, demand.hash(), ours))
    others = hashlib.sha256(b"commitment").hexdigest()
    listed = {control.node.peer_id: ours, LOSER.peer_id: others}
    control.coordinator_says(Reveal(demand.demand_id, listed))
    control.node_says(bid)


@dataclass(frozen=True, slots=True)
class _Run:
    """What was said of the running job, and the stream that it ended on."""

    stream: Stream
    events: tuple[Envelope, ...]
    last_event: Event
    meter: Envelope
    voucher: VoucherMessage
    chain: PaymentChain


def _voucher(amount: int, link: VoucherLink, *, final: bool) -> VoucherMessage:
    escrow = MARKET.escrow(Pubkey(CLIENT.public_key), escrow_job_id(LEASE_ID))
    statement = Voucher(DOMAIN, bytes(escrow), ESCROW_SEQUENCE, amount)
    signature = VOUCHER_SIGNER.sign(statement.message()).hex()
    return VoucherMessage(LEASE_ID, amount, signature, final, link)


def _run(control: Stream, first: Stream, award: Award, result: Result) -> _Run:
    """From the first event to the last, with what is said between them."""
    log_bytes = len(LOG_TEXT.encode())
    preparing = Event(LEASE_ID, 0, EventKind.PREPARING, T0_MS, agreement(award, SEALING_KEY).hash())
    envelopes = [first.node_says(preparing)]
    first.coordinator_says(_stored(1, 0))
    started = Event(LEASE_ID, 1, EventKind.STARTED, T0_MS + 1_000, preparing.hash())
    envelopes.append(first.node_says(started))
    first.node_says(Log(LEASE_ID, 0, LOG_TEXT))
    # One acknowledgement for both.
    first.coordinator_says(_stored(2, log_bytes))
    first.node_says(CheckpointTaken(LEASE_ID, TAKEN))
    first.coordinator_says(replace(_stored(2, log_bytes), checkpoint=TAKEN.sequence))
    running = LeaseStatus(LEASE_ID, LeasePhase.RUNNING, 30_000, 500, "half")
    control.node_says(Heartbeat(Capacity(6_000, 31 * GIB, 99 * GIB), True, (running,)))
    control.coordinator_says(Pulse(T0_MS + 30_000))
    amount = cost_micro_usdc(award.price_micro_usdc_per_hour, 30_000)
    meter = Meter(LEASE_ID, 30_000, amount)
    meter_envelope = first.node_says(meter)
    # The voucher is lost with the stream, and sent again on the next.
    second = _attach(WINNER, 2, has_start=True, events=2)
    second.coordinator_says(_stored(2, log_bytes))
    voucher = _voucher(amount, next_link(PaymentChain(), meter.hash()), final=False)
    second.coordinator_says(voucher)
    ending = replace(result, voucher_hash=voucher.hash())
    last = Event(LEASE_ID, 2, EventKind.FINISHED, T0_MS + 2_000, started.hash(), ending)
    envelopes.append(second.node_says(last))
    second.coordinator_says(_stored(3, log_bytes))
    chain = extended(PaymentChain(), voucher, meter)
    return _Run(second, tuple(envelopes), last, meter_envelope, voucher, chain)
