"""One function per instruction of the escrow program, and the Ed25519 instruction it reads.

What must hold before each instruction, and what holds after, is written above its C function in
``contracts-client/program``. Here: which account goes where. Parties are named by their wallets
(``client_owner``, ``provider_owner``); the accounts are derived. Amounts are micro-USDC, u64.
"""

from neurogrid_contracts.instructions.clients import deposit, open_client, set_operator, withdraw
from neurogrid_contracts.instructions.escrows import (
    INSTRUCTIONS_SYSVAR_ID,
    claim_voucher,
    dispute,
    open_escrow,
    refund,
    release,
    relinquish,
    resolve,
)
from neurogrid_contracts.instructions.market import MarketTerms, init_config, set_paused
from neurogrid_contracts.instructions.providers import (
    register_provider,
    request_unstake,
    slash,
    stake,
    withdraw_stake,
)
from neurogrid_contracts.instructions.vouchers import (
    ED25519_PROGRAM_ID,
    SignedVoucher,
    ed25519_instruction,
)
from neurogrid_contracts.instructions.wire import SYSTEM_PROGRAM_ID, TOKEN_PROGRAM_ID, Tag

__all__ = [
    "ED25519_PROGRAM_ID",
    "INSTRUCTIONS_SYSVAR_ID",
    "SYSTEM_PROGRAM_ID",
    "TOKEN_PROGRAM_ID",
    "MarketTerms",
    "SignedVoucher",
    "Tag",
    "claim_voucher",
    "deposit",
    "dispute",
    "ed25519_instruction",
    "init_config",
    "open_client",
    "open_escrow",
    "refund",
    "register_provider",
    "release",
    "relinquish",
    "request_unstake",
    "resolve",
    "set_operator",
    "set_paused",
    "slash",
    "stake",
    "withdraw",
    "withdraw_stake",
]
