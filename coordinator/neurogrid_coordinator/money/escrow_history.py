"""What became of an escrow, read from the chain's history: which transaction closed it, what it paid."""

from collections.abc import Iterator
from dataclasses import dataclass

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from neurogrid_marketplace.escrow_program import Instruction, paid_after
from neurogrid_wallet.rpc import Rpc

# An escrow lives through a handful of transactions: open, perhaps a few claims, the end.
_TRANSACTIONS_MAX = 1000


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
        paid = paid_after(_instructions(record.raw, program_id), address, paid)
    return Closing(succeeded[0], paid)


def _instructions(raw: bytes, program_id: Pubkey) -> Iterator[Instruction]:
    """The program's instructions; what stands in a lookup table a transaction does not show."""
    message = VersionedTransaction.from_bytes(raw).message
    keys = message.account_keys
    for instruction in message.instructions:
        if keys[instruction.program_id_index] == program_id:
            accounts = bytes(instruction.accounts)
            names = (str(keys[place]) if place < len(keys) else None for place in accounts)
            yield Instruction(tuple(names), bytes(instruction.data))
