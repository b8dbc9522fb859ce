"""What is the same of every transaction that is read before a wallet's key signs it. Pure.

What a client's may do is in `client_review`, what a provider's, in `machine.reviewing`.
"""

from collections.abc import Sequence

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.solana_message import MessageInstruction, SolanaMessage, read_message

# Programs of Solana's own.
TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_ACCOUNTS = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"
BUDGET = "ComputeBudget111111111111111111111111111111"
# Of the token account program: make it, if it is not there. Accounts: payer, account, owner, mint.
CREATE_IDEMPOTENT = b"\x01"
# Of the market's program's instructions that move money: how much, after the first byte.
AMOUNT = slice(1, 9)
# Compute budget: how many units, and their price in millionths of a lamport.
_UNITS, _UNIT_PRICE = 2, 3
_UNITS_MAX = 1_400_000
# Beside the fee for signatures: a thousandth of a SOL.
PRIORITY_LAMPORTS_MAX = 1_000_000


class NotSigned(Exception):
    """A transaction is not what it should be; the message says in what."""


def read_signed_by(message: bytes, wallet: str) -> SolanaMessage:
    """A transaction that this wallet alone signs, and that pays no more than it should to be carried out soon.

    Raises:
        NotSigned: it is another one, or can't be read.
    """
    found = read(message)
    if found.signers != (wallet,):
        raise NotSigned(f"it is not signed by {wallet} alone")
    _check_priority(found.instructions)
    return found


def read(message: bytes) -> SolanaMessage:
    """A transaction.

    Raises:
        NotSigned: it can't be read.
    """
    try:
        return read_message(message)
    except InvalidValue as error:
        raise NotSigned(f"it can't be read: {error}") from error


def _check_priority(instructions: Sequence[MessageInstruction]) -> None:
    # Where it names no limit, it may use all that a transaction may.
    named = {_UNITS: _UNITS_MAX, _UNIT_PRICE: 0}
    for each in instructions:
        if each.program == BUDGET and each.data[:1]:
            named[each.data[0]] = int.from_bytes(each.data[1:], "little")
    if named[_UNITS] * named[_UNIT_PRICE] > PRIORITY_LAMPORTS_MAX * 1_000_000:
        raise NotSigned("it pays more than a thousandth of a SOL to be carried out soon")
