"""Creating a market, its terms and its administration."""

import struct
from dataclasses import dataclass
from typing import Final

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions.wire import (
    SYSTEM_PROGRAM_ID,
    Tag,
    i64,
    program_instruction,
    read_only,
    signer,
    u64,
    writable,
)

# The program's own limits: state.h.
FEE_BPS_MAX: Final = 2000
BPS_ONE: Final = 10_000
WINDOW_MAX_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class MarketTerms:
    """What an administrator decides about a market; changes need notice.

    Attributes:
        fee_bps: of every payment, to the treasury; at most 2000 (20 %).
        slash_bps: the most of a provider's whole stake that one dispute may take; at most 10000.
        min_stake_micro_usdc: a provider with less gets no escrows.
        unbonding_window_s: from request_unstake to withdraw_stake; more than the other two windows
            together, and an escrow may last for the difference.
        grace_window_s: from a deadline to the refund; providers redeem vouchers in it. At least 1.
        arbitration_window_s: from the end of the grace window until a dispute lapses. At least 1.
        dispute_bond_micro_usdc: what opening a dispute puts at stake; 0: nothing.
    """

    fee_bps: int
    slash_bps: int
    min_stake_micro_usdc: int
    unbonding_window_s: int
    grace_window_s: int
    arbitration_window_s: int
    dispute_bond_micro_usdc: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.fee_bps <= FEE_BPS_MAX or not 0 <= self.slash_bps <= BPS_ONE:
            raise ValueError("the fee is at most 2000 and the slashing cap at most 10000")
        for window_s in (self.grace_window_s, self.arbitration_window_s, self.unbonding_window_s):
            if not 1 <= window_s <= WINDOW_MAX_S:
                raise ValueError(f"a window lasts from 1 second to a year, not {window_s} s")
        if self.unbonding_window_s <= self.grace_window_s + self.arbitration_window_s:
            raise ValueError("unbonding must outlast the grace and arbitration windows together")

    def args(self, arbiter: Pubkey) -> bytes:
        """The arguments that init_config and propose_terms share."""
        return (
            struct.pack("<HH", self.fee_bps, self.slash_bps)
            + u64(self.min_stake_micro_usdc)
            + i64(self.unbonding_window_s)
            + i64(self.grace_window_s)
            + i64(self.arbitration_window_s)
            + u64(self.dispute_bond_micro_usdc)
            + bytes(arbiter)
        )


def init_config(
    deployment: Deployment, *, treasury: Pubkey, arbiter: Pubkey, domain: int, terms: MarketTerms
) -> Instruction:
    """Create the market. Signer: the deployment's admin, who pays the rent.

    Args:
        treasury: USDC token account that receives the fees.
        arbiter: who decides disputes: a key, or an SPL Token multisig account.
        domain: goes into every voucher; must differ between clusters and between deployments.
    """
    return program_instruction(
        deployment,
        Tag.INIT_CONFIG,
        terms.args(arbiter) + u64(domain),
        signer(deployment.admin, writable=True),
        writable(deployment.config),
        read_only(deployment.usdc_mint),
        read_only(treasury),
        read_only(SYSTEM_PROGRAM_ID),
    )


def set_paused(deployment: Deployment, *, admin: Pubkey, paused: bool) -> Instruction:
    """Stop or resume new stakes, deposits and escrows. Signer: ``admin``, the market's current."""
    return program_instruction(
        deployment,
        Tag.SET_PAUSED,
        struct.pack("<B", paused),
        signer(admin),
        writable(deployment.config),
    )


def propose_terms(
    deployment: Deployment, *, admin: Pubkey, treasury: Pubkey, arbiter: Pubkey, terms: MarketTerms
) -> Instruction:
    """Announce other terms, to be applied after today's unbonding window. Signer: ``admin``.

    Args:
        terms: their unbonding window may not be shorter than today's.
    """
    return program_instruction(
        deployment,
        Tag.PROPOSE_TERMS,
        terms.args(arbiter),
        signer(admin),
        writable(deployment.config),
        read_only(treasury),
    )


def cancel_terms(deployment: Deployment, *, admin: Pubkey) -> Instruction:
    """Take an announcement back. Signer: ``admin``."""
    return program_instruction(
        deployment, Tag.CANCEL_TERMS, b"", signer(admin), writable(deployment.config)
    )


def apply_terms(deployment: Deployment) -> Instruction:
    """Put announced terms into force, once their notice has passed. No signer."""
    return program_instruction(deployment, Tag.APPLY_TERMS, b"", writable(deployment.config))


def propose_admin(
    deployment: Deployment, *, admin: Pubkey, new_admin: Pubkey | None
) -> Instruction:
    """Offer the administration to another key, or with None take the offer back. Signer: admin."""
    return program_instruction(
        deployment,
        Tag.PROPOSE_ADMIN,
        bytes(32) if new_admin is None else bytes(new_admin),
        signer(admin),
        writable(deployment.config),
    )


def accept_admin(deployment: Deployment, *, new_admin: Pubkey) -> Instruction:
    """Take the offered administration. Signer: ``new_admin``."""
    return program_instruction(
        deployment, Tag.ACCEPT_ADMIN, b"", signer(new_admin), writable(deployment.config)
    )
