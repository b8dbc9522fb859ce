"""What is auctioned: everything a node must know to price a task, and nothing more."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .canonical import sha256_hex
from .comparator import Comparator
from .conditions import Where
from .errors import InvalidValue
from .fields import OMITTED, Address, Bytes, Id, ImageRef, MicroUsdc, Millis, Sha256, plain
from .gang import Gang
from .money import cost_micro_usdc
from .network import Network
from .resources import Requirements
from .serving import Serves, Use
from .spot import ReclaimWindowS
from .units import UnitPrices

# Bounds of what a client may ask for. 30 days is beyond any unbonding period we run with.
MAX_TIMEOUT_S = 30 * 24 * 3600
TimeoutS = Annotated[int, Meta(ge=1, le=MAX_TIMEOUT_S)]


class VerifyMode(StrEnum):
    """How a result is verified: not at all, by chance after it was paid, or before it is paid."""

    NONE = "none"
    SPOT_CHECK = "spot_check"
    QUORUM = "quorum"


@dataclass(frozen=True, slots=True)
class Demand:
    """The signed call for bids.

    Attributes:
        demand_id: of this auction; a retry has another one.
        job_hash: of the job that the winner will get (`job.Job.hash`).
        image: so that nodes can say how long it takes to get it.
        input_bytes: total size of the input files.
        max_price_micro_usdc_per_hour: bids above are not considered.
        timeout_s: the longest the job may run; the escrow covers this long.
        bid_window_ms: how long bids are collected.
        voucher_interval_s: how often a voucher is due.
        dead_after_s: how long the node may be silent before the task is given to another.
        where: the client's conditions on nodes (`attributes.NODE`), all to be met.
        client: owner of the client account that will pay, where the client reveals it; the winner
            learns it in any case.
        finish_by_ms: when the job has to have ended at the latest, Unix milliseconds; 0: any time. A
            node that could not keep it, should the job take all of ``timeout_s``, declines.
        sealed_bids: answers are commitments, and bids are shown when the window has closed
            (`sealing`).
        preemptible: whether the node may take its machine back, after a warning (`preemption`).
        reclaim_window_s: of a preemptible one: how long the warning has to be at least.
        gang: so many nodes are sought, each for such a lease, and none is taken alone.
        comparator: by what a verified result is compared with others'; None: by its bytes.
        network: what its job wants to reach; None: nothing.
        serves: the job is a replica of a model; None: it is none.
        use: the lease is for asking such a replica, and has no container; None: it has one. Its price per hour is 0.
    """

    demand_id: Id
    job_hash: Sha256
    requirements: Requirements
    image: ImageRef
    input_bytes: Bytes
    max_price_micro_usdc_per_hour: MicroUsdc
    timeout_s: TimeoutS
    bid_window_ms: Millis
    voucher_interval_s: Annotated[int, Meta(ge=1, le=3600)]
    dead_after_s: Annotated[int, Meta(ge=1, le=24 * 3600)]
    verify: VerifyMode = VerifyMode.NONE
    where: Where = ()
    client: Address | None = None
    finish_by_ms: Millis = 0
    sealed_bids: bool = False
    preemptible: bool = False
    reclaim_window_s: ReclaimWindowS = 0
    gang: Gang | None = None
    comparator: Comparator | None = None
    network: Network | None = None
    serves: Serves | None = field(default=None, metadata=OMITTED)
    use: Use | None = field(default=None, metadata=OMITTED)

    def __post_init__(self) -> None:
        if self.use is None:
            return
        if self.serves is not None or self.max_price_micro_usdc_per_hour:
            raise InvalidValue("a lease for use has no price per hour, and serves nothing itself")
        if self.gang is not None or self.preemptible or self.verify is not VerifyMode.NONE:
            raise InvalidValue(
                "a lease for use is alone, as lasting as its replica, and unverified"
            )

    def hash(self) -> str:
        """What bids and awards refer to; the same for every node that was asked."""
        return sha256_hex(plain(self))

    def max_cost_micro_usdc(self) -> int:
        """The most this task can cost."""
        return self.max_cost_at_micro_usdc(self.max_price_micro_usdc_per_hour)

    def max_cost_at_micro_usdc(self, price_micro_usdc_per_hour: int) -> int:
        """What its escrow holds where it was awarded at this price: the whole time limit, or all of its use."""
        if self.use is not None:
            return self.use.max_cost_micro_usdc
        return cost_micro_usdc(price_micro_usdc_per_hour, self.timeout_s * 1000)

    def takes(self, prices: UnitPrices | None) -> bool:
        """Whether a bid may ask these for units; None: it asks none."""
        if self.use is not None:
            return prices == self.use.prices
        if self.serves is not None:
            return prices is not None and prices.is_within(self.serves.max_prices)
        return prices is None

    @property
    def seats(self) -> int:
        """On how many nodes it runs at once."""
        return 1 if self.gang is None else self.gang.size

    def latest_begin_ms(self) -> int:
        """When its job has to run at the latest to end in time."""
        return self.finish_by_ms - self.timeout_s * 1000
