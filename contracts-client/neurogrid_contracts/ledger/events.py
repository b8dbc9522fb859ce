"""What the chain tells of itself: a transaction, a slot, a fork."""

from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey
from solders.signature import Signature


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """A transaction was committed.

    Args:
        error: as the RPC shows it; None when it succeeded.
        changed: after-images; None for an account that is gone.
        mints: the mint accounts needed to show the changed token accounts.
    """

    slot: int
    signature: Signature
    error: Any
    logs: list[str]
    mentions: frozenset[Pubkey]
    changed: tuple[tuple[Pubkey, Account | None], ...]
    mints: dict[Pubkey, Account]


@dataclass(frozen=True, slots=True)
class SlotEvent:
    """A slot began; everything up to ``confirmed`` and ``root`` is confirmed and final."""

    slot: int
    parent: int
    confirmed: int
    root: int


@dataclass(frozen=True, slots=True)
class ForkEvent:
    """The slots after ``parent`` are gone, and ``slot`` comes after it instead.

    Args:
        reverted: the accounts that changed in them, as they are again.
        mints: the mint accounts needed to show the reverted token accounts.
    """

    slot: int
    parent: int
    reverted: dict[Pubkey, Account | None]
    mints: dict[Pubkey, Account]


Event = TransactionEvent | SlotEvent | ForkEvent
