"""The auction of a task."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct


class Bid(Struct, frozen=True, kw_only=True):
    """One node's offer.

    Attributes:
        start_seconds: how soon the job would run, as it said: in half of all cases;
            start_seconds_p95: in 19 of 20, None where it did not say.
        start_factor: what its word on that is multiplied by: its last starts took longer than said.
        cached_gb: of image and inputs, what it has already.
        score: price and waiting, USDC per hour; the lowest wins.
    """

    node_id: str
    price_per_hour: Decimal
    start_seconds: float
    score: Decimal
    won: bool
    wallet: str = ""
    start_seconds_p95: float | None = None
    start_factor: float = 1.0
    cached_gb: float = 0.0


class AuctionInfo(Struct, frozen=True, kw_only=True):
    """How one of a task's leases was auctioned.

    Attributes:
        price_per_hour: what the winner is paid, by the second-lowest score, USDC.
        bids: best first.
        expected_start_seconds: what counted for the winner, its factor included.
        started_after_seconds: what its start took by the coordinator's clock; None where it did
            not start, or could not be seen.
        sealed_bids: nodes had committed to their bids before the first was shown;
            unrevealed: ids of those that then showed none that counts.
    """

    lease_id: str
    held_at: datetime
    price_per_hour: Decimal
    winner: str
    bids: list[Bid]
    max_price_per_hour: Decimal | None = None
    expected_start_seconds: float | None = None
    started_after_seconds: float | None = None
    sealed_bids: bool = False
    unrevealed: list[str] = []
