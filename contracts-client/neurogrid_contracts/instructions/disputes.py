"""Disputes, and what an arbiter may do about them."""

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.wire import (
    TOKEN_PROGRAM_ID,
    Tag,
    arbiter_accounts,
    payment_accounts,
    program_instruction,
    read_only,
    signer,
    u64,
    writable,
)
from neurogrid_contracts.slashing import EVIDENCE_BYTES, Fault


def dispute(
    deployment: Deployment,
    *,
    party: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
) -> Instruction:
    """Freeze an escrow for the arbiter, or join the provider's dispute. Signer: ``party``.

    Args:
        party: the client's owner or operator, or the provider's owner. Who opens posts the bond.
    """
    return program_instruction(
        deployment,
        Tag.DISPUTE,
        b"",
        signer(party),
        read_only(deployment.config),
        writable(deployment.client(client_owner)),
        writable(deployment.provider(provider_owner)),
        writable(deployment.escrow(client_owner, job_id)),
    )


def slash(
    deployment: Deployment,
    *,
    arbiter: Pubkey,
    provider_owner: Pubkey,
    client_owner: Pubkey,
    job_id: bytes,
    amount_micro_usdc: int,
    fault: Fault,
    evidence: bytes,
    members: Sequence[Pubkey] = (),
) -> Instruction:
    """Compensate the client of a disputed escrow from the provider's stake. Signer: ``arbiter``.

    Args:
        fault: what was proven.
        evidence: SHA-256 of the proof; logged, so that anybody can ask for it and check.
        members: of a multisig arbiter: those who sign instead of it.

    Raises:
        ValueError: the evidence is not 32 bytes.
    """
    if len(evidence) != EVIDENCE_BYTES:
        raise ValueError(f"a SHA-256 has {EVIDENCE_BYTES} bytes, not {len(evidence)}")
    provider = deployment.provider(provider_owner)
    client = deployment.client(client_owner)
    arbiter_account, signing = arbiter_accounts(arbiter, members)
    return program_instruction(
        deployment,
        Tag.SLASH,
        u64(amount_micro_usdc) + bytes([fault]) + evidence,
        arbiter_account,
        read_only(deployment.config),
        writable(provider),
        writable(deployment.vault(provider)),
        writable(deployment.escrow(client_owner, job_id)),
        writable(client),
        writable(deployment.vault(client)),
        read_only(TOKEN_PROGRAM_ID),
        optional=signing,
    )


def resolve(
    deployment: Deployment,
    *,
    arbiter: Pubkey,
    client_owner: Pubkey,
    provider_owner: Pubkey,
    job_id: bytes,
    payout: Pubkey,
    treasury: Pubkey,
    rent_payer: Pubkey,
    to_provider_micro_usdc: int,
    opener_was_right: bool,
    members: Sequence[Pubkey] = (),
) -> Instruction:
    """Divide what a disputed escrow still holds, and close it. Signer: ``arbiter``.

    Args:
        rent_payer: the escrow's; gets its rent back.
        opener_was_right: who opened the dispute gets the bond back; else the other party gets it.
        members: of a multisig arbiter: those who sign instead of it.
    """
    arbiter_account, signing = arbiter_accounts(arbiter, members)
    return program_instruction(
        deployment,
        Tag.RESOLVE,
        u64(to_provider_micro_usdc) + bytes([opener_was_right]),
        arbiter_account,
        *payment_accounts(deployment, client_owner, provider_owner, job_id, payout, treasury),
        optional=[
            writable(rent_payer),
            writable(deployment.vault(deployment.provider(provider_owner))),
            *signing,
        ],
    )
