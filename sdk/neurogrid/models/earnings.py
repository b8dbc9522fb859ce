"""What a provider earns and stakes, and what its wallet is asked to sign."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from .listed import Listed


class NodeEarnings(Struct, frozen=True, kw_only=True):
    """What one machine earned."""

    node_id: str
    jobs: int = 0
    paid: Decimal = Decimal(0)


class OpenEarnings(Struct, frozen=True, kw_only=True):
    """What open escrows hold: ``escrowed`` at most, ``promised`` so far."""

    jobs: int = 0
    escrowed: Decimal = Decimal(0)
    promised: Decimal = Decimal(0)


class EarningsSummary(Struct, frozen=True, kw_only=True):
    """What a provider's machines earned in some days, the market's fee included."""

    start_date: str
    end_date: str
    paid: Decimal
    jobs: int
    currency: str = "USDC"
    nodes: list[NodeEarnings] = []
    open: OpenEarnings = OpenEarnings()


class JobEarnings(Struct, frozen=True, kw_only=True):
    """One run of somebody's task on a machine of the provider's.

    Attributes:
        paid: while it is ``open``, what is signed so far.
    """

    lease_id: str
    node_id: str
    status: Literal["open", "settled"]
    escrowed: Decimal
    paid: Decimal
    created_at: datetime
    settled_at: datetime | None = None
    currency: str = "USDC"
    escrow: str = ""
    escrow_transaction: str | None = None
    payment_transaction: str | None = None


class JobEarningsPage(Listed[JobEarnings], Struct, frozen=True, kw_only=True):
    """Some runs, newest first; ``total`` counts all that were asked for."""

    jobs: list[JobEarnings]
    total: int
    limit: int = 0
    offset: int = 0


class StakeStatus(Struct, frozen=True, kw_only=True):
    """What a provider has in the market's program.

    Attributes:
        free: of what is staked, what can be taken out; ``bonded``: what its own disputes hold.
        withdrawable_at: when ``unbonding`` can be withdrawn.
        minimum: with less, its machines get no new jobs.
        earned: ever, by any coordinator, less the market's fee.
        payout_wallet: who is paid.
    """

    wallet: str
    registered: bool
    staked: Decimal
    minimum: Decimal
    free: Decimal = Decimal(0)
    bonded: Decimal = Decimal(0)
    unbonding: Decimal = Decimal(0)
    withdrawable_at: datetime | None = None
    slashed: Decimal = Decimal(0)
    unbonding_days: float = 0
    earned: Decimal = Decimal(0)
    jobs_completed: int = 0
    open_escrows: int = 0
    payout_wallet: str | None = None
    in_wallet: Decimal = Decimal(0)
    currency: str = "USDC"


class Transfer(Struct, frozen=True, kw_only=True):
    """A transaction of the account's wallet, from the asking to its end.

    Attributes:
        does: what it does, in words.
        transaction: to be signed, base64; None once it is signed or expired.
        message: the part of it that an Ed25519 key signs, base64; None likewise.
        signature: its name on the chain.
        failure: why it moved nothing.
    """

    id: str
    kind: str
    status: str
    amount: Decimal
    currency: str
    wallet: str
    created_at: datetime
    expires_at: datetime
    updated_at: datetime
    wallet_address: str | None = None
    does: list[str] = []
    fee_sol: Decimal = Decimal(0)
    transaction: str | None = None
    message: str | None = None
    signature: str | None = None
    failure: str | None = None


class PayoutPage(Listed[Transfer], Struct, frozen=True, kw_only=True):
    """Some payouts, newest first; ``total`` counts all."""

    payouts: list[Transfer]
    total: int
    limit: int = 0
    offset: int = 0
