"""The shape all of the program's instructions share: a tag byte, arguments, accounts in order."""

import enum
import struct
from collections.abc import Sequence
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment

SYSTEM_PROGRAM_ID: Final = Pubkey.from_string("11111111111111111111111111111111")
TOKEN_PROGRAM_ID: Final = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")

U64_MAX: Final = 2**64 - 1


class Tag(enum.IntEnum):
    """First byte of an instruction's data; ``entrypoint.c`` has the same list."""

    INIT_CONFIG = 0
    REGISTER_PROVIDER = 1
    STAKE = 2
    REQUEST_UNSTAKE = 3
    WITHDRAW_STAKE = 4
    SLASH = 5
    OPEN_CLIENT = 6
    DEPOSIT = 7
    WITHDRAW = 8
    SET_OPERATOR = 9
    OPEN_ESCROW = 10
    RELEASE = 11
    CLAIM_VOUCHER = 12
    REFUND = 13
    DISPUTE = 14
    RESOLVE = 15
    RELINQUISH = 16
    SET_PAUSED = 17
    PROPOSE_TERMS = 18
    CANCEL_TERMS = 19
    APPLY_TERMS = 20
    PROPOSE_ADMIN = 21
    ACCEPT_ADMIN = 22
    REBOND = 23
    CLOSE_PROVIDER = 24
    CLOSE_CLIENT = 25
    ACCEPT_ESCROW = 26
    CANCEL_ESCROW = 27
    TOP_UP = 28
    EXTEND = 29


def arbiter_accounts(
    arbiter: Pubkey, members: Sequence[Pubkey]
) -> tuple[AccountMeta, list[AccountMeta]]:
    """The arbiter's place in an instruction, and its members: a multisig does not sign itself."""
    if members:
        return read_only(arbiter), [signer(member) for member in members]
    return signer(arbiter), []


def payment_accounts(
    deployment: Deployment,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    payout: Pubkey,
    treasury: Pubkey,
) -> list[AccountMeta]:
    """Accounts 1 to 8 of every instruction that pays."""
    client = deployment.client(client_owner)
    return [
        read_only(deployment.config),
        writable(client),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
        writable(deployment.vault(client)),
        writable(payout),
        writable(treasury),
        read_only(TOKEN_PROGRAM_ID),
    ]


def program_instruction(
    deployment: Deployment,
    tag: Tag,
    args: bytes,
    *accounts: AccountMeta,
    optional: Sequence[AccountMeta] = (),
) -> Instruction:
    """Assemble an instruction.

    Args:
        accounts: the fixed ones, in the order of the C comment.
        optional: found by their key. One that repeats an earlier account is joined with it, with
            the rights of both, because the program refuses to be given an account twice.
    """
    metas = list(accounts)
    for extra in optional:
        same = [index for index, meta in enumerate(metas) if meta.pubkey == extra.pubkey]
        if same:
            metas[same[0]] = AccountMeta(
                extra.pubkey,
                is_signer=extra.is_signer or metas[same[0]].is_signer,
                is_writable=extra.is_writable or metas[same[0]].is_writable,
            )
        else:
            metas.append(extra)
    return Instruction(deployment.program_id, bytes([tag]) + args, metas)


def u64(value: int) -> bytes:
    """Eight bytes, little-endian.

    Raises:
        ValueError: negative or too large.
    """
    if not 0 <= value <= U64_MAX:
        raise ValueError(f"{value} does not fit an unsigned 64-bit integer")
    return struct.pack("<Q", value)


def i64(value: int) -> bytes:
    """Eight bytes, little-endian; for times.

    Raises:
        ValueError: too large or too small.
    """
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} does not fit a signed 64-bit integer")
    return struct.pack("<q", value)


def signer(key: Pubkey, *, writable: bool = False) -> AccountMeta:
    return AccountMeta(key, is_signer=True, is_writable=writable)


def writable(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)


def read_only(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)
