"""A receipt beside what the reader's own look at the chain found: claims become what was seen."""

from dataclasses import dataclass, replace

from .errors import ReceiptInvalid
from .money import format_usdc
from .receipt import Verification
from .receipt_items import Item, Proof


@dataclass(frozen=True, slots=True)
class EscrowSeen:
    """An escrow as a chain's endpoint shows it, of what is final.

    Attributes:
        is_open: whether its account is there.
        is_complete: whether these are all transactions that mention it.
        transactions: signatures of those that did something with it, newest first.
        paid_micro_usdc: what they released in all; None if they do not show it.
    """

    is_open: bool
    is_complete: bool
    transactions: tuple[str, ...]
    paid_micro_usdc: int | None


def beside_chain(found: Verification, seen: EscrowSeen) -> Verification:
    """The verification with the items about the chain as the chain has them.

    They stay claims while the endpoint does not show the escrow's end, which may not be final yet.

    Raises:
        ReceiptInvalid: the chain says something else.
    """
    if seen.is_open or not seen.is_complete or len(seen.transactions) < 2:
        # The one that opened it is not the one that closed it.
        return found
    if seen.transactions[0] != found.transaction:
        raise ReceiptInvalid(
            f"the chain closed the escrow by {seen.transactions[0]}, not by {found.transaction}"
        )
    changed = {
        "transaction": f"{found.transaction} is final and was the escrow's last; it is closed"
    }
    paid = seen.paid_micro_usdc
    if paid is not None:
        if paid != found.paid_micro_usdc:
            raise ReceiptInvalid(
                f"the chain paid {format_usdc(paid)} USDC from the escrow, not "
                f"{format_usdc(found.paid_micro_usdc)}"
            )
        changed["settlement"] = f"{format_usdc(paid)} USDC were released from the escrow in all"
    return replace(found, items=tuple(_seen(item, changed) for item in found.items))


def is_seen(found: Verification) -> bool:
    """Whether every claim about the chain was seen there."""
    return all(
        item.proof is Proof.SEEN
        for item in found.items
        if item.name in ("transaction", "settlement")
    )


def _seen(item: Item, changed: dict[str, str]) -> Item:
    if item.name not in changed:
        return item
    return replace(item, proof=Proof.SEEN, shows=changed[item.name])
