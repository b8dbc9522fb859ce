"""One function per instruction of the escrow program, and the Ed25519 instruction it reads.

What must hold before each instruction, and what holds after, is written above its C function in
``contracts-client/program``. Here: which account goes where. Parties are named by their wallets
(``client_owner``, ``provider_owner``); the accounts are derived. Amounts are micro-USDC, u64.
"""

from neurogrid_contracts.instructions.clients import (
    close_client,
    deposit,
    open_client,
    set_operator,
    withdraw,
)
from neurogrid_contracts.instructions.disputes import dispute, resolve, slash
from neurogrid_contracts.instructions.escrows import (
    INSTRUCTIONS_SYSVAR_ID,
    accept_escrow,
    cancel_escrow,
    claim_voucher,
    extend,
    open_escrow,
    refund,
    release,
    relinquish,
    top_up,
)
from neurogrid_contracts.instructions.market import (
    MarketTerms,
    accept_admin,
    apply_terms,
    cancel_terms,
    init_config,
    propose_admin,
    propose_terms,
    set_paused,
)
from neurogrid_contracts.instructions.providers import (
    close_provider,
    rebond,
    register_provider,
    request_unstake,
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
    "accept_admin",
    "accept_escrow",
    "apply_terms",
    "cancel_escrow",
    "cancel_terms",
    "claim_voucher",
    "close_client",
    "close_provider",
    "deposit",
    "dispute",
    "ed25519_instruction",
    "extend",
    "init_config",
    "open_client",
    "open_escrow",
    "propose_admin",
    "propose_terms",
    "rebond",
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
    "top_up",
    "withdraw",
    "withdraw_stake",
]
