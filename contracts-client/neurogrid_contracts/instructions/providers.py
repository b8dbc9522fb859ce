"""Providers and their stake."""

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.wire import (
    SYSTEM_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
    Tag,
    program_instruction,
    read_only,
    signer,
    u64,
    writable,
)


def register_provider(
    deployment: Deployment, *, owner: Pubkey, payout_owner: Pubkey
) -> Instruction:
    """Create a provider account and its vault. Signer: ``owner``, who pays the rent.

    Args:
        payout_owner: the wallet whose token accounts are paid. Cannot be changed later.
    """
    provider = deployment.provider(owner)
    return program_instruction(
        deployment,
        Tag.REGISTER_PROVIDER,
        bytes(payout_owner),
        signer(owner, writable=True),
        read_only(deployment.config),
        writable(provider),
        writable(deployment.vault(provider)),
        read_only(deployment.usdc_mint),
        read_only(SYSTEM_PROGRAM_ID),
        read_only(TOKEN_PROGRAM_ID),
    )


def stake(
    deployment: Deployment,
    *,
    funder: Pubkey,
    provider_owner: Pubkey,
    source: Pubkey,
    amount_micro_usdc: int,
) -> Instruction:
    """Add to a provider's stake. Signer: ``funder``, who may move the tokens of ``source``."""
    provider = deployment.provider(provider_owner)
    return program_instruction(
        deployment,
        Tag.STAKE,
        u64(amount_micro_usdc),
        signer(funder),
        read_only(deployment.config),
        writable(provider),
        writable(deployment.vault(provider)),
        writable(source),
        read_only(TOKEN_PROGRAM_ID),
    )


def request_unstake(
    deployment: Deployment, *, owner: Pubkey, amount_micro_usdc: int
) -> Instruction:
    """Start taking stake out; a later request restarts the window for all of it. Signer: owner."""
    return program_instruction(
        deployment,
        Tag.REQUEST_UNSTAKE,
        u64(amount_micro_usdc),
        signer(owner),
        read_only(deployment.config),
        writable(deployment.provider(owner)),
    )


def withdraw_stake(deployment: Deployment, *, owner: Pubkey, destination: Pubkey) -> Instruction:
    """Take out all stake whose unbonding window has passed. Signer: ``owner``."""
    provider = deployment.provider(owner)
    return program_instruction(
        deployment,
        Tag.WITHDRAW_STAKE,
        b"",
        signer(owner),
        read_only(deployment.config),
        writable(provider),
        writable(deployment.vault(provider)),
        writable(destination),
        read_only(TOKEN_PROGRAM_ID),
    )


def rebond(deployment: Deployment, *, owner: Pubkey, amount_micro_usdc: int) -> Instruction:
    """Let unbonding stake count as stake again. Signer: ``owner``."""
    return program_instruction(
        deployment,
        Tag.REBOND,
        u64(amount_micro_usdc),
        signer(owner),
        read_only(deployment.config),
        writable(deployment.provider(owner)),
    )


def close_provider(deployment: Deployment, *, owner: Pubkey, destination: Pubkey) -> Instruction:
    """Close an empty provider account and its vault. Signer: ``owner``, who gets the rent.

    Args:
        destination: USDC token account for what strangers have sent to the vault.
    """
    provider = deployment.provider(owner)
    return program_instruction(
        deployment,
        Tag.CLOSE_PROVIDER,
        b"",
        signer(owner, writable=True),
        read_only(deployment.config),
        writable(provider),
        writable(deployment.vault(provider)),
        writable(destination),
        read_only(TOKEN_PROGRAM_ID),
    )
