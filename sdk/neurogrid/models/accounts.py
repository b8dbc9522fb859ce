"""Accounts and their money."""

from decimal import Decimal

from msgspec import Struct


class Balance(Struct, frozen=True, kw_only=True):
    """An account's money, USDC.

    Attributes:
        available: what new tasks can spend.
        held: promised to tasks that have no escrow yet.
        escrowed: locked on the chain for running tasks.
        wallet: in the owner's own wallet, not deposited.
        operator_limit: what the coordinator may still open escrows for.
    """

    available: Decimal
    held: Decimal
    escrowed: Decimal
    wallet: Decimal | None = None
    operator_limit: Decimal | None = None


class Account(Struct, frozen=True, kw_only=True):
    """Who the key belongs to, and its money; ``signs_writes``: changes need the wallet's signature."""

    id: str
    balance: Balance
    name: str = ""
    wallet: str = ""
    roles: list[str] = []
    signs_writes: bool = False
    currency: str = "USDC"
