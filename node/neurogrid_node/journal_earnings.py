"""The journal's earnings one by one: a part of `journal`, in a file of its own."""

from dataclasses import dataclass

from .journal import Journal


@dataclass(frozen=True, slots=True)
class Earning:
    """What the last voucher of one lease brought, after the market's fee.

    Attributes:
        transaction: signature of the transaction that redeemed it.
    """

    lease_id: str
    at_ms: int
    micro_usdc: int
    transaction: str


def earnings_after(journal: Journal, at_ms: int, lease_id: str, limit: int) -> list[Earning]:
    """What was redeemed later than this Unix time, or then by a later lease; oldest first."""
    rows = journal._db.execute(
        "select lease_id, at_ms, micro_usdc, signature from earning"
        " where (at_ms, lease_id) > (?, ?) order by at_ms, lease_id limit ?",
        (at_ms, lease_id, limit),
    )
    return [Earning(*row) for row in rows]
