"""What providers earn and stake: what answers show."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from .schemas import Amount, Time


class NodeEarningsView(Struct, frozen=True):
    """What one machine earned."""

    node_id: str
    jobs: int
    paid: Amount


class OpenEarningsView(Struct, frozen=True):
    """What open escrows hold for you now."""

    jobs: int
    escrowed: Annotated[Amount, Meta(description="The most that they can pay.")]
    promised: Annotated[Amount, Meta(description="Signed so far.")]


class EarningsSummaryView(Struct, frozen=True):
    """What your machines earned through this coordinator, by when they were paid."""

    start_date: Annotated[str, Meta(examples=["2025-01-01"])]
    end_date: Annotated[str, Meta(description="Its last day.", examples=["2025-01-31"])]
    currency: Literal["USDC"]
    paid: Annotated[
        Amount,
        Meta(description="Out of escrows; the market's fee, which the program takes, included."),
    ]
    jobs: Annotated[int, Meta(description="Runs that paid something.")]
    nodes: Annotated[
        list[NodeEarningsView], Meta(description="Those that earned most first, 100 at most.")
    ]
    open: OpenEarningsView


class JobEarningsView(Struct, frozen=True):
    """One run of somebody's task on a machine of yours."""

    lease_id: str
    node_id: str
    status: Literal["open", "settled"]
    escrowed: Annotated[Amount, Meta(description="The most that it could pay.")]
    paid: Annotated[Amount, Meta(description="While it is open: what is signed so far.")]
    currency: Literal["USDC"]
    created_at: Annotated[Time, Meta(description="When it was awarded.")]
    settled_at: Time | None
    escrow: Annotated[str, Meta(description="The escrow's address on the chain.")]
    escrow_transaction: Annotated[str | None, Meta(description="Opened the escrow.")]
    payment_transaction: Annotated[str | None, Meta(description="Paid and closed it.")]


class JobEarningsListView(Struct, frozen=True):
    """Some of them; ``total`` counts all that were asked for."""

    jobs: list[JobEarningsView]
    total: int
    limit: int
    offset: int


class StakeView(Struct, frozen=True):
    """What a provider has in the market's program."""

    wallet: str
    registered: Annotated[bool, Meta(description="False: it has never staked.")]
    staked: Annotated[Amount, Meta(description="Counts towards `minimum`.")]
    free: Annotated[Amount, Meta(description="Of it: what can be taken out.")]
    bonded: Annotated[Amount, Meta(description="Of it: what your own disputes hold.")]
    unbonding: Annotated[Amount, Meta(description="Being taken out; slashable until then.")]
    withdrawable_at: Annotated[
        Time | None, Meta(description="When `unbonding` can be withdrawn; null where it is 0.")
    ]
    slashed: Annotated[Amount, Meta(description="Ever.")]
    minimum: Annotated[Amount, Meta(description="With less, its machines get no new jobs.")]
    unbonding_days: Annotated[float, Meta(description="How long taking out lasts.")]
    earned: Annotated[Amount, Meta(description="Ever, by any coordinator, less the market's fee.")]
    jobs_completed: int
    open_escrows: int
    payout_wallet: Annotated[
        str | None, Meta(description="Who is paid what its machines earn; it can't be changed.")
    ]
    in_wallet: Annotated[Amount, Meta(description="The wallet's own, not staked.")]
    currency: Literal["USDC"]
