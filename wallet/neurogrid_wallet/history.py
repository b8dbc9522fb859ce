"""What moved in and out of a wallet, read from the chain."""

from collections.abc import Callable
from dataclasses import dataclass

import anyio
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from neurogrid_wallet.chain import TransactionFailure
from neurogrid_wallet.errors import RpcUnavailable
from neurogrid_wallet.rpc import Rpc, SignatureRecord, TransactionRecord
from neurogrid_wallet.usdc import MEMO_PROGRAM, MEMO_V1_PROGRAM, token_address

# One call per transaction: a public endpoint allows 40 of a method in 10 s.
PAGE_MAX = 100
_CALLS_AT_A_TIME = 4

NameOf = Callable[[Pubkey, bytes], str | None]
"""What an instruction is called, from its program and its data; None for an unknown one."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One transaction, as one wallet and one token see it.

    Attributes:
        signature: Base58.
        slot: where it landed.
        block_time_s: Unix seconds, or None where the node does not know.
        change_micro: what the wallet gained, or, negative, lost.
        counterparties: who lost or gained in return; most moved first. Empty for a mint.
        fee_lamports: what the wallet paid for it; 0 where somebody else did.
        names: what its known instructions are called, in order.
        memo: its notes, joined.
        failure: why nothing moved, or None.
    """

    signature: str
    slot: int
    block_time_s: int | None
    change_micro: int
    counterparties: tuple[str, ...]
    fee_lamports: int
    names: tuple[str, ...]
    memo: str
    failure: TransactionFailure | None


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a history, newest first.

    Attributes:
        next_before: pass this as ``before`` for older ones; None where there are none.
    """

    movements: tuple[Movement, ...]
    next_before: str | None


async def read_page(
    rpc: Rpc,
    owner: Pubkey,
    mint: Pubkey,
    *,
    limit: int,
    before: str | None = None,
    name_of: NameOf = lambda program, data: None,
) -> Page:
    """The latest transactions on the owner's token account of this mint.

    Args:
        limit: 1 to ``PAGE_MAX``.
        before: start after this signature.

    Raises:
        RpcError: the endpoint does not answer, or knows a signature and not its transaction.
    """
    if not 0 < limit <= PAGE_MAX:
        raise ValueError(f"limit must be between 1 and {PAGE_MAX}")
    account = token_address(owner, mint)
    # One more than asked for says whether there is another page.
    records = await rpc.signatures_for_address(account, limit=limit + 1, before=before)
    shown = records[:limit]
    found: list[Movement | None] = [None] * len(shown)
    slots = anyio.CapacityLimiter(_CALLS_AT_A_TIME)

    async def read(index: int, record: SignatureRecord) -> None:
        async with slots:
            transaction = await rpc.transaction(record.signature)
        if transaction is None:
            raise RpcUnavailable("getTransaction", f"{record.signature} is listed and not known")
        found[index] = movement(record.signature, transaction, owner, mint, name_of)

    async with anyio.create_task_group() as tasks:
        for index, record in enumerate(shown):
            tasks.start_soon(read, index, record)
    more = len(records) > limit
    return Page(
        tuple(entry for entry in found if entry is not None),
        shown[-1].signature if more else None,
    )


def movement(
    signature: str, record: TransactionRecord, owner: Pubkey, mint: Pubkey, name_of: NameOf
) -> Movement:
    """What a transaction was to ``owner``.

    Raises:
        RpcUnavailable: its bytes are no transaction.
    """
    try:
        message = VersionedTransaction.from_bytes(record.raw).message
    except ValueError as error:
        raise RpcUnavailable("getTransaction", f"malformed transaction: {error}") from error
    change, others = 0, dict[str, int]()
    for token in record.token_changes:
        if token.mint != str(mint):
            continue
        if token.owner == str(owner):
            change += token.change
        elif token.owner is not None:
            others[token.owner] = others.get(token.owner, 0) + token.change
    # Whoever moved the same way as the owner is no counterparty: a second recipient, say.
    opposite = [party for party, moved in others.items() if moved * change < 0]
    opposite.sort(key=lambda party: (-abs(others[party]), party))
    names, memos = [], []
    for instruction in message.instructions:
        # A program is always among the keys that the message itself holds.
        program = message.account_keys[instruction.program_id_index]
        data = bytes(instruction.data)
        if program in (MEMO_PROGRAM, MEMO_V1_PROGRAM):
            memos.append(data.decode(errors="replace"))
        elif name := name_of(program, data):
            names.append(name)
    return Movement(
        signature,
        record.slot,
        record.block_time_s,
        change,
        tuple(opposite),
        record.fee_lamports if message.account_keys[0] == owner else 0,
        tuple(names),
        "\n".join(memos),
        record.failure,
    )
