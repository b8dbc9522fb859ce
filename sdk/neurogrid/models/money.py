"""What an account has, what its tasks cost, and its invoices."""

from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from .earnings import Transfer
from .listed import Listed


class WalletBalance(Struct, frozen=True, kw_only=True):
    """What a client has.

    Attributes:
        deposited: from which tasks are paid: ``free`` + ``held`` + ``escrowed``.
        available: what new tasks can spend: ``free`` within ``operator_limit``.
        operator_limit: what the coordinator may still open escrows for.
        in_wallet: the wallet's own USDC, not deposited.
    """

    usdc_balance: Decimal
    free: Decimal
    held: Decimal
    escrowed: Decimal
    available: Decimal
    operator_limit: Decimal
    in_wallet: Decimal
    wallet: str
    usdt_balance: Decimal = Decimal(0)

    @property
    def deposited(self) -> Decimal:
        """All of the deposit."""
        return self.usdc_balance

    def __getitem__(self, name: str) -> str:
        """An amount as document 003 has it: ``balance["usdc_balance"]`` is a text.

        Raises:
            KeyError: there is none of this name.
        """
        value = getattr(self, name) if name in self.__struct_fields__ else None
        if not isinstance(value, Decimal):
            raise KeyError(name)
        return f"{value:f}"


class TransferPage(Listed[Transfer], Struct, frozen=True, kw_only=True):
    """Some transfers, newest first; ``total`` counts all that were asked for."""

    transfers: list[Transfer]
    total: int
    limit: int = 0
    offset: int = 0


class BillingBalance(Struct, frozen=True, kw_only=True):
    """What an account can spend: ``balance``."""

    balance: Decimal
    held: Decimal
    escrowed: Decimal
    spent_this_month: Decimal
    currency: str = "USDC"


class Charge(Struct, frozen=True, kw_only=True):
    """The money of one run of a task; a task that was tried again has several.

    Attributes:
        status: "escrowed", or "settled" once its escrow is closed.
        escrowed: locked for it: the most that it could cost.
        paid: out of the escrow; while that is open, what is promised so far.
        refunded: what came back; None while it is open.
    """

    task_id: str
    lease_id: str
    status: str
    escrowed: Decimal
    paid: Decimal
    created_at: datetime
    task_name: str = ""
    node_id: str = ""
    provider: str = ""
    refunded: Decimal | None = None
    currency: str = "USDC"
    settled_at: datetime | None = None
    escrow_transaction: str | None = None
    payment_transaction: str | None = None


class BillingTotals(Struct, frozen=True, kw_only=True):
    """Of all charges of the time: ``paid`` by escrows that are closed, ``open`` locked in those that are not."""

    escrowed: Decimal
    paid: Decimal
    refunded: Decimal
    open: Decimal


class BillingHistory(Listed[Charge], Struct, frozen=True, kw_only=True):
    """Some charges, newest first; ``total`` and ``totals`` are of all of the time."""

    history: list[Charge]
    totals: BillingTotals
    total: int
    limit: int = 0
    offset: int = 0


class Invoice(Struct, frozen=True, kw_only=True):
    """What an account's tasks paid in a month. It never changes.

    Attributes:
        number: counts the account's invoices, without gaps.
        lines: some of them, where one invoice was asked for.
    """

    id: str
    number: int
    period_start: str
    period_end: str
    issued_at: datetime
    total: Decimal
    line_count: int
    account_id: str = ""
    account_name: str = ""
    wallet: str = ""
    currency: str = "USDC"
    lines: list[Charge] = []


class InvoicePage(Listed[Invoice], Struct, frozen=True, kw_only=True):
    """Some invoices, newest first; ``total`` counts all."""

    invoices: list[Invoice]
    total: int
    limit: int = 0
    offset: int = 0
