"""Transfers: what requests say and answers show."""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

from ...services.transfers import SIGNED_CHARS_MAX
from .schemas import Amount, Time

WalletAddress = Annotated[str, Meta(min_length=32, max_length=44)]
CurrencyName = Annotated[
    str, Meta(min_length=1, max_length=16, description="What the market is paid in: USDC.")
]
AskedAmount = Annotated[Decimal, Meta(description="At most six decimals.", examples=["100.00"])]
Days = Annotated[int, Meta(ge=1, le=3650)]

WALLET_RULES = {
    "recipient": "a Solana wallet's address",
    "wallet_address": "a Solana wallet's address",
}


class DepositRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Money to be moved from the wallet into the deposit, from which tasks are paid."""

    amount: AskedAmount
    currency: CurrencyName = "USDC"
    operator_limit: Annotated[
        Decimal | None,
        Meta(
            description="Let the coordinator open escrows for so much in all, in the same transaction: tasks "
            "can't be paid without. Left out, what the wallet allowed before stays.",
            examples=["100.00"],
        ),
    ] = None
    operator_days: Annotated[Days, Meta(description="For so long.")] = 30


class WithdrawalRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Money to be taken out of the deposit."""

    amount: AskedAmount
    currency: CurrencyName = "USDC"
    wallet_address: Annotated[
        WalletAddress | None, Meta(description="Who gets it; left out: the account's own wallet.")
    ] = None


class OperatorRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What the coordinator may open escrows for in the wallet's name. 0 ends it."""

    limit: AskedAmount
    days: Days = 30


class PayoutRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Earned money to be sent on to a wallet."""

    amount: AskedAmount
    wallet_address: WalletAddress
    currency: CurrencyName = "USDC"


class StakeRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """Stake to be added, or to be taken out."""

    amount: AskedAmount
    currency: CurrencyName = "USDC"


class SubmitRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A signed transaction."""

    signed_transaction: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=SIGNED_CHARS_MAX,
            description="The whole transaction, base64: `transaction` of the answer, unchanged, with the wallet's "
            "signature in it.",
        ),
    ]


class TransferView(Struct, frozen=True):
    """A transaction of the account's wallet, from the asking to its end."""

    id: str
    kind: Literal[
        "deposit",
        "withdrawal",
        "operator",
        "payout",
        "stake",
        "unstake",
        "rebond",
        "stake_withdrawal",
        "close",
        "claim",
    ]
    status: Annotated[
        Literal["awaiting_signature", "submitted", "confirmed", "completed", "failed", "expired"],
        Meta(
            description="`completed` is final. `failed` and `expired` moved nothing and never will."
        ),
    ]
    amount: Amount
    currency: str
    wallet: Annotated[str, Meta(description="Who signs and pays the fee.")]
    wallet_address: Annotated[
        str | None, Meta(description="Who gets it, of withdrawals and payouts.")
    ]
    does: Annotated[list[str], Meta(description="What the transaction does, in words.")]
    fee_sol: Annotated[
        str, Meta(description="The chain's fee, rent of new accounts aside.", examples=["0.000005"])
    ]
    transaction: Annotated[
        str | None,
        Meta(
            description="To be signed, base64, as Solana's wallets take it; null once it is signed or expired."
        ),
    ]
    message: Annotated[
        str | None,
        Meta(description="The part of it that an Ed25519 key signs, base64; null likewise."),
    ]
    signature: Annotated[str | None, Meta(description="The transaction's name on the chain.")]
    failure: Annotated[str | None, Meta(description="Why it moved nothing.")]
    created_at: Time
    expires_at: Annotated[Time, Meta(description="About when it can't be sent any more.")]
    updated_at: Time


class TransferListView(Struct, frozen=True):
    """Some of the account's transfers; ``total`` counts all that were asked for."""

    transfers: list[TransferView]
    total: int
    limit: int
    offset: int


class DepositListView(Struct, frozen=True):
    """Some of the account's deposits; ``total`` counts all."""

    deposits: list[TransferView]
    total: int
    limit: int
    offset: int


class PayoutListView(Struct, frozen=True):
    """Some of the account's payouts; ``total`` counts all."""

    payouts: list[TransferView]
    total: int
    limit: int
    offset: int


class WalletBalanceView(Struct, frozen=True):
    """What a client has. ``usdc_balance`` is free + held + escrowed."""

    usdc_balance: Annotated[Amount, Meta(description="The deposit, what is locked included.")]
    usdt_balance: Annotated[
        Amount, Meta(description='In the wallet; "0" where the market knows no USDT.')
    ]
    free: Annotated[Amount, Meta(description="Can be withdrawn.")]
    held: Annotated[Amount, Meta(description="Promised to tasks that have no escrow yet.")]
    escrowed: Annotated[Amount, Meta(description="Locked on the chain for tasks.")]
    available: Annotated[
        Amount, Meta(description="What new tasks can spend: `free` within `operator_limit`.")
    ]
    operator_limit: Annotated[
        Amount, Meta(description="What the coordinator may still open escrows for.")
    ]
    in_wallet: Annotated[Amount, Meta(description="The wallet's own USDC, not deposited.")]
    wallet: str
