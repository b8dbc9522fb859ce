"""What became of an escrow, read from the chain's history: which transaction closed it, what it paid.

A closed escrow has no account any more; its transactions are what is left. Amounts stand in their
instructions, which the program carried out exactly or not at all.
"""

import struct
from dataclasses import dataclass

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from neurogrid_contracts.instructions import Tag
from neurogrid_wallet.rpc import Rpc

# An escrow lives through a handful of transactions: open, perhaps a few claims, the end.
_TRANSACTIONS_MAX = 1000
# Where the escrow stands among an instruction's accounts (contracts-client/program/*.c).
ESCROW_INDEX: dict[int, int] = {
    Tag.OPEN_ESCROW: 4,
    Tag.RELEASE: 4,
    Tag.CLAIM_VOUCHER: 4,
    Tag.RESOLVE: 4,
    Tag.RELINQUISH: 4,
    Tag.DISPUTE: 4,
    Tag.SLASH: 4,
    Tag.REFUND: 3,
    Tag.ACCEPT_ESCROW: 3,
    Tag.CANCEL_ESCROW: 4,
    Tag.TOP_UP: 4,
    Tag.EXTEND: 4,
}
_AMOUNT = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of an escrow.

    Attributes:
        transaction: signature of the transaction that closed it.
        paid_micro_usdc: what it released in its life; None if its transactions do not show it (they
            use lookup tables, or another program called ours).
    """

    transaction: str
    paid_micro_usdc: int | None


async def closing_of(rpc: Rpc, program_id: Pubkey, address: str) -> Closing | None:
    """How a closed escrow was closed; None while the endpoint does not tell.

    Raises:
        RpcError: the chain is away.
    """
    escrow = Pubkey.from_string(address)
    records = await rpc.signatures_for_address(escrow, limit=_TRANSACTIONS_MAX)
    succeeded = [record.signature for record in records if record.failure is None]
    if len(succeeded) < 2:
        # The one that opened it is not the one that closed it: the history lags behind.
        return None
    paid: int | None = 0
    for signature in reversed(succeeded):
        record = await rpc.transaction(signature)
        if record is None:
            return None
        paid = paid_after(record.raw, program_id, escrow, paid)
    return Closing(succeeded[0], paid)


def paid_after(raw: bytes, program_id: Pubkey, escrow: Pubkey, paid: int | None) -> int | None:
    """What the escrow has released after this transaction, if it had released ``paid`` before."""
    message = VersionedTransaction.from_bytes(raw).message
    keys = message.account_keys
    seen = False
    for instruction in message.instructions:
        data, accounts = bytes(instruction.data), bytes(instruction.accounts)
        if keys[instruction.program_id_index] != program_id or not data:
            continue
        index = ESCROW_INDEX.get(data[0])
        if index is None or index >= len(accounts):
            continue
        if accounts[index] >= len(keys):
            # In a lookup table, whose content a transaction does not show.
            return None
        if keys[accounts[index]] != escrow:
            continue
        seen = True
        match data[0]:
            case Tag.RELEASE | Tag.RESOLVE if paid is not None:
                paid += _AMOUNT.unpack_from(data, 1)[0]
            case Tag.CLAIM_VOUCHER:
                paid = _AMOUNT.unpack_from(data, 1)[0]
    return paid if seen else None
