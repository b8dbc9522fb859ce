"""Clients and their deposits."""

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.wire import (
    SYSTEM_PROGRAM_ID,
    TOKEN_PROGRAM_ID,
    Tag,
    i64,
    program_instruction,
    read_only,
    signer,
    u64,
    writable,
)


def open_client(deployment: Deployment, *, owner: Pubkey) -> Instruction:
    """Create a client account and its vault. Signer: ``owner``, who pays the rent."""
    client = deployment.client(owner)
    return program_instruction(
        deployment,
        Tag.OPEN_CLIENT,
        b"",
        signer(owner, writable=True),
        read_only(deployment.config),
        writable(client),
        writable(deployment.vault(client)),
        read_only(deployment.usdc_mint),
        read_only(SYSTEM_PROGRAM_ID),
        read_only(TOKEN_PROGRAM_ID),
    )


def deposit(
    deployment: Deployment,
    *,
    funder: Pubkey,
    client_owner: Pubkey,
    source: Pubkey,
    amount_micro_usdc: int,
) -> Instruction:
    """Add to a client's balance. Signer: ``funder``, who may move the tokens of ``source``."""
    client = deployment.client(client_owner)
    return program_instruction(
        deployment,
        Tag.DEPOSIT,
        u64(amount_micro_usdc),
        signer(funder),
        read_only(deployment.config),
        writable(client),
        writable(deployment.vault(client)),
        writable(source),
        read_only(TOKEN_PROGRAM_ID),
    )


def withdraw(
    deployment: Deployment, *, owner: Pubkey, destination: Pubkey, amount_micro_usdc: int
) -> Instruction:
    """Take unlocked balance out. Signer: ``owner``."""
    client = deployment.client(owner)
    return program_instruction(
        deployment,
        Tag.WITHDRAW,
        u64(amount_micro_usdc),
        signer(owner),
        read_only(deployment.config),
        writable(client),
        writable(deployment.vault(client)),
        writable(destination),
        read_only(TOKEN_PROGRAM_ID),
    )


def set_operator(
    deployment: Deployment,
    *,
    owner: Pubkey,
    operator: Pubkey | None,
    limit_micro_usdc: int,
    expiry_unix_s: int,
) -> Instruction:
    """Name the client's operator, or with None remove it. Signer: ``owner``.

    Args:
        limit_micro_usdc: what it may promise and bond; what its escrows do not pay comes back.
        expiry_unix_s: from this second on it may do nothing.
    """
    key = bytes(32) if operator is None else bytes(operator)
    return program_instruction(
        deployment,
        Tag.SET_OPERATOR,
        key + u64(limit_micro_usdc) + i64(expiry_unix_s),
        signer(owner),
        read_only(deployment.config),
        writable(deployment.client(owner)),
    )


def close_client(deployment: Deployment, *, owner: Pubkey, destination: Pubkey) -> Instruction:
    """Close an empty client account and its vault. Signer: ``owner``, who gets the rent.

    Not in the slot in which it was opened.

    Args:
        destination: USDC token account for what strangers have sent to the vault.
    """
    client = deployment.client(owner)
    return program_instruction(
        deployment,
        Tag.CLOSE_CLIENT,
        b"",
        signer(owner, writable=True),
        read_only(deployment.config),
        writable(client),
        writable(deployment.vault(client)),
        writable(destination),
        read_only(TOKEN_PROGRAM_ID),
    )
