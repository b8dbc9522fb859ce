"""What the escrow program's instructions say of one escrow: enough to read its history from a chain.

A closed escrow has no account any more; its transactions are what is left. Amounts stand in their
instructions, which the program carried out exactly or not at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class EscrowTag(IntEnum):
    """First byte of the data of each instruction about an escrow (contracts-client/program)."""

    SLASH = 5
    OPEN_ESCROW = 10
    RELEASE = 11
    CLAIM_VOUCHER = 12
    REFUND = 13
    DISPUTE = 14
    RESOLVE = 15
    RELINQUISH = 16
    ACCEPT_ESCROW = 26
    CANCEL_ESCROW = 27
    TOP_UP = 28
    EXTEND = 29


# Where the escrow stands among an instruction's accounts (contracts-client/program/*.c).
ESCROW_INDEX: dict[int, int] = {
    EscrowTag.OPEN_ESCROW: 4,
    EscrowTag.RELEASE: 4,
    EscrowTag.CLAIM_VOUCHER: 4,
    EscrowTag.RESOLVE: 4,
    EscrowTag.RELINQUISH: 4,
    EscrowTag.DISPUTE: 4,
    EscrowTag.SLASH: 4,
    EscrowTag.REFUND: 3,
    EscrowTag.ACCEPT_ESCROW: 3,
    EscrowTag.CANCEL_ESCROW: 4,
    EscrowTag.TOP_UP: 4,
    EscrowTag.EXTEND: 4,
}
_AMOUNT = slice(1, 9)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of the program's.

    Attributes:
        accounts: their addresses; None for one in a lookup table whose content is not known.
    """

    accounts: tuple[str | None, ...]
    data: bytes


def concerns(instruction: Instruction, escrow: str) -> bool:
    """Whether an instruction of the program is about this escrow."""
    data, accounts = instruction.data, instruction.accounts
    index = ESCROW_INDEX.get(data[0]) if data else None
    return index is not None and index < len(accounts) and accounts[index] == escrow


def paid_after(
    instructions: Iterable[Instruction], escrow: str, paid_micro_usdc: int | None
) -> int | None:
    """What an escrow has released after a transaction, if it had released so much before.

    Returns: None where the transaction does not show it: it uses lookup tables that are not known, or
        another program called this one.
    """
    paid, seen = paid_micro_usdc, False
    for instruction in instructions:
        data, accounts = instruction.data, instruction.accounts
        index = ESCROW_INDEX.get(data[0]) if data else None
        if index is None or index >= len(accounts):
            continue
        if accounts[index] is None:
            return None
        if accounts[index] != escrow:
            continue
        seen = True
        match data[0]:
            case EscrowTag.RELEASE | EscrowTag.RESOLVE if paid is not None:
                paid += _amount(data)
            case EscrowTag.CLAIM_VOUCHER:
                paid = _amount(data)
    return paid if seen else None


def _amount(data: bytes) -> int:
    return int.from_bytes(data[_AMOUNT], "little")
