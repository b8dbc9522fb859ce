"""USDC: its accounts, its transfers, its balances; amounts are whole micro-USDC.

The instructions are written out here rather than taken from solana-py's ``spl`` package, which
costs 20 MiB and 0.4 ms per instruction; the tests compare the two byte by byte.
"""

import struct

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.rpc import Rpc

DECIMALS = 6
"""One USDC is 10**6 micro-USDC, which is the token's smallest unit."""

# Source: Circle, "USDC contract addresses".
MAINNET_MINT = Pubkey.from_string("EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGkZwyTDt1v")
DEVNET_MINT = Pubkey.from_string("4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU")

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ASSOCIATED_TOKEN_PROGRAM = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
SYSTEM_PROGRAM = Pubkey.from_string("11111111111111111111111111111111")

MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
MEMO_V1_PROGRAM = Pubkey.from_string("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
# A memo has to fit beside a transfer into one packet.
MEMO_BYTES_MAX = 256

# SPL Token's TransferChecked: tag 12, amount u64, decimals u8.
_TRANSFER_CHECKED = struct.Struct("<BQB")
_TRANSFER_CHECKED_TAG = 12
# The associated token program's CreateIdempotent.
_CREATE_IDEMPOTENT = b"\x01"

_AMOUNT_MAX = 2**64 - 1
# SPL Token's Account: mint, owner, amount, and what may be done with it.
_TOKEN_ACCOUNT_BYTES = 165


def token_address(owner: Pubkey, mint: Pubkey) -> Pubkey:
    """Where ``owner`` holds its USDC: the associated token account."""
    address, _ = Pubkey.find_program_address(
        [bytes(owner), bytes(TOKEN_PROGRAM), bytes(mint)], ASSOCIATED_TOKEN_PROGRAM
    )
    return address


def create_token_account(payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """Create ``owner``'s token account where there is none yet; ``payer`` pays its rent."""
    return Instruction(
        ASSOCIATED_TOKEN_PROGRAM,
        _CREATE_IDEMPOTENT,
        [
            AccountMeta(payer, is_signer=True, is_writable=True),
            AccountMeta(token_address(owner, mint), is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=False, is_writable=False),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
            AccountMeta(TOKEN_PROGRAM, is_signer=False, is_writable=False),
        ],
    )


def transfer(
    source: Pubkey, destination: Pubkey, owner: Pubkey, mint: Pubkey, amount_micro_usdc: int
) -> Instruction:
    """Move USDC between two token accounts; the chain checks mint and decimals.

    Args:
        source: a token account of ``owner``, who signs.
        destination: a token account, which has to exist.
        amount_micro_usdc: more than 0, at most 2**64 - 1.

    Raises:
        ValueError: the amount is out of bounds.
    """
    if not 0 < amount_micro_usdc <= _AMOUNT_MAX:
        raise ValueError(f"cannot transfer {amount_micro_usdc} micro-USDC")
    return Instruction(
        TOKEN_PROGRAM,
        _TRANSFER_CHECKED.pack(_TRANSFER_CHECKED_TAG, amount_micro_usdc, DECIMALS),
        [
            AccountMeta(source, is_signer=False, is_writable=True),
            AccountMeta(mint, is_signer=False, is_writable=False),
            AccountMeta(destination, is_signer=False, is_writable=True),
            AccountMeta(owner, is_signer=True, is_writable=False),
        ],
    )


def pay(
    payer: Pubkey, owner: Pubkey, recipient: Pubkey, mint: Pubkey, amount_micro_usdc: int
) -> list[Instruction]:
    """Move USDC from one wallet to another, creating the recipient's token account if need be.

    Args:
        payer: pays the fee, and the rent of a new account.
        owner: whose USDC moves; signs.
        recipient: the wallet, not its token account.

    Raises:
        ValueError: the amount is out of bounds.
    """
    return [
        create_token_account(payer, recipient, mint),
        transfer(
            token_address(owner, mint),
            token_address(recipient, mint),
            owner,
            mint,
            amount_micro_usdc,
        ),
    ]


def token_amount(data: bytes) -> int:
    """What a token account holds, from its data, in the token's smallest unit.

    Raises:
        ValueError: this is no token account.
    """
    if len(data) < _TOKEN_ACCOUNT_BYTES:
        raise ValueError(f"a token account has {_TOKEN_ACCOUNT_BYTES} bytes, not {len(data)}")
    return int.from_bytes(data[64:72], "little")


def memo(text: str) -> Instruction:
    """A note that everybody can read beside the transfer, for ever.

    Raises:
        ValueError: empty, or more than ``MEMO_BYTES_MAX`` bytes as UTF-8.
    """
    content = text.encode()
    if not 0 < len(content) <= MEMO_BYTES_MAX:
        raise ValueError(f"a memo has 1 to {MEMO_BYTES_MAX} bytes, not {len(content)}")
    return Instruction(MEMO_PROGRAM, content, [])


async def usdc_balance(
    rpc: Rpc, mint: Pubkey, owner: Pubkey, commitment: Commitment = Commitment.CONFIRMED
) -> int:
    """What ``owner`` holds in its associated token account, in micro-USDC; 0 without one."""
    return await rpc.token_balance(token_address(owner, mint), commitment) or 0
