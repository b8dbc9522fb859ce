"""Escrows: opening, growing, paying and ending them."""

from typing import Final

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.wire import (
    SYSTEM_PROGRAM_ID,
    Tag,
    i64,
    payment_accounts,
    program_instruction,
    read_only,
    signer,
    u64,
    writable,
)

INSTRUCTIONS_SYSVAR_ID: Final = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")


def open_escrow(
    deployment: Deployment,
    *,
    authority: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    max_micro_usdc: int,
    deadline_unix_s: int,
    voucher_signer: Pubkey,
    needs_acceptance: bool = False,
) -> Instruction:
    """Promise a part of the client's balance to a provider. Signer: ``authority``.

    Args:
        authority: the client's owner or operator; pays the rent, and gets it back at the end.
        job_id: 32 bytes, unique among this client's open escrows.
        deadline_unix_s: at most ``ConfigAccount.longest_escrow_s`` ahead.
        voucher_signer: the session key whose vouchers the escrow will honour.
        needs_acceptance: only offer it; the client may cancel until the provider accepts.
    """
    return program_instruction(
        deployment,
        Tag.OPEN_ESCROW,
        job_id
        + u64(max_micro_usdc)
        + i64(deadline_unix_s)
        + bytes(voucher_signer)
        + bytes([needs_acceptance]),
        signer(authority, writable=True),
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
        read_only(SYSTEM_PROGRAM_ID),
    )


def accept_escrow(
    deployment: Deployment, *, client_owner: Pubkey, provider_owner: Pubkey, job_id: bytes
) -> Instruction:
    """Take an offered escrow on; to decline it, :func:`relinquish`. Signer: ``provider_owner``."""
    return program_instruction(
        deployment,
        Tag.ACCEPT_ESCROW,
        b"",
        signer(provider_owner),
        read_only(deployment.config),
        read_only(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
    )


def top_up(
    deployment: Deployment,
    *,
    authority: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    amount_micro_usdc: int,
) -> Instruction:
    """Promise more to an escrow. Signer: ``authority``, as for :func:`release`."""
    return program_instruction(
        deployment,
        Tag.TOP_UP,
        u64(amount_micro_usdc),
        signer(authority),
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        read_only(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
    )


def extend(
    deployment: Deployment,
    *,
    authority: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    deadline_unix_s: int,
) -> Instruction:
    """Move an escrow's deadline on. Signer: ``authority``, as for :func:`release`."""
    return program_instruction(
        deployment,
        Tag.EXTEND,
        i64(deadline_unix_s),
        signer(authority),
        read_only(deployment.config),
        read_only(deployment.client(client_owner)),
        read_only(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
    )


def release(
    deployment: Deployment,
    *,
    authority: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    payout: Pubkey,
    treasury: Pubkey,
    amount_micro_usdc: int,
    expected_released_micro_usdc: int,
    final: bool = False,
    close_to: Pubkey | None = None,
) -> Instruction:
    """Pay the provider. Signer: ``authority``, and with ``close_to`` the provider's owner.

    Args:
        authority: the client's owner, or its operator if an operator opened the escrow.
        payout: USDC token account of the provider's payout_owner.
        treasury: the market's.
        expected_released_micro_usdc: what the escrow has released before. If it has released
            another total, the program refuses, so a payment signed again cannot pay twice.
        final: nothing more will come. Alone it starts the challenge window.
        close_to: the escrow's rent payer. With ``final``, closes the escrow now, which the
            provider's owner must sign too.

    Raises:
        ValueError: close_to without final.
    """
    if close_to is not None and not final:
        raise ValueError("only a final release closes an escrow")
    return program_instruction(
        deployment,
        Tag.RELEASE,
        u64(amount_micro_usdc) + bytes([final]) + u64(expected_released_micro_usdc),
        signer(authority),
        *payment_accounts(deployment, client_owner, provider_owner, job_id, payout, treasury),
        optional=[] if close_to is None else [signer(provider_owner), writable(close_to)],
    )


def claim_voucher(
    deployment: Deployment,
    *,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    payout: Pubkey,
    treasury: Pubkey,
    cumulative_micro_usdc: int,
    ed25519_instruction_index: int,
    signature_index: int = 0,
    close_to: Pubkey | None = None,
    client_cosigns: bool = False,
) -> Instruction:
    """Redeem a voucher. No signer of its own; with ``close_to`` the provider's owner.

    Args:
        payout: USDC token account of the provider's payout_owner.
        treasury: the market's.
        cumulative_micro_usdc: the voucher's total.
        ed25519_instruction_index: where :func:`ed25519_instruction` is in the same transaction.
        signature_index: which of its vouchers.
        close_to: the escrow's rent payer. Closes the escrow now: the provider gives up the rest.
        client_cosigns: closing a disputed escrow needs the client's owner too.
    """
    extra = []
    if close_to is not None:
        extra = [signer(provider_owner), writable(close_to)]
        if client_cosigns:
            extra.append(signer(client_owner))
    return program_instruction(
        deployment,
        Tag.CLAIM_VOUCHER,
        u64(cumulative_micro_usdc)
        + bytes([ed25519_instruction_index, signature_index, close_to is not None]),
        read_only(INSTRUCTIONS_SYSVAR_ID),
        *payment_accounts(deployment, client_owner, provider_owner, job_id, payout, treasury),
        optional=extra,
    )


def refund(
    deployment: Deployment,
    *,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    rent_payer: Pubkey,
) -> Instruction:
    """Return what an expired escrow still holds to the client. No signer: anybody may.

    Args:
        rent_payer: the escrow's; gets its rent back.
    """
    return program_instruction(
        deployment,
        Tag.REFUND,
        b"",
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
        writable(rent_payer),
    )


def relinquish(
    deployment: Deployment,
    *,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    rent_payer: Pubkey,
    client_cosigns: bool = False,
) -> Instruction:
    """Close an escrow and pay nothing more, or decline an offer. Signer: ``provider_owner``.

    Args:
        rent_payer: the escrow's; gets its rent back.
        client_cosigns: closing a disputed escrow needs the client's owner too.
    """
    return program_instruction(
        deployment,
        Tag.RELINQUISH,
        b"",
        signer(provider_owner),
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
        optional=[writable(rent_payer), *([signer(client_owner)] if client_cosigns else [])],
    )


def cancel_escrow(
    deployment: Deployment,
    *,
    authority: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    rent_payer: Pubkey,
) -> Instruction:
    """Take back an offer that is not accepted. Signer: ``authority``, as for :func:`release`.

    Args:
        rent_payer: the escrow's; gets its rent back.
    """
    return program_instruction(
        deployment,
        Tag.CANCEL_ESCROW,
        b"",
        signer(authority),
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
        optional=[writable(rent_payer)],
    )
