"""Creating and pausing a market."""

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
    """What a new market fixes for ever.

    Attributes:
        fee_bps: of every payment, to the treasury; at most 2000 (20 %).
        slash_bps: the most of a provider's whole stake that one dispute may take; at most 10000.
        min_stake_micro_usdc: a provider with less gets no escrows.
        unbonding_window_s: from request_unstake to withdraw_stake; more than the other two windows
            together, and an escrow may last for the difference.
        grace_window_s: from a deadline to the refund; providers redeem vouchers in it. At least 1.
        arbitration_window_s: from the end of the grace window until a dispute lapses. At least 1.
        domain: goes into every voucher; must differ between clusters and between deployments.
    """

    fee_bps: int
    slash_bps: int
    min_stake_micro_usdc: int
    unbonding_window_s: int
    grace_window_s: int
    arbitration_window_s: int
    domain: int

    def __post_init__(self) -> None:
        if not 0 <= self.fee_bps <= FEE_BPS_MAX or not 0 <= self.slash_bps <= BPS_ONE:
            raise ValueError("the fee is at most 2000 and the slashing cap at most 10000")
        for window_s in (self.grace_window_s, self.arbitration_window_s, self.unbonding_window_s):
            if not 1 <= window_s <= WINDOW_MAX_S:
                raise ValueError(f"a window lasts from 1 second to a year, not {window_s} s")
        if self.unbonding_window_s <= self.grace_window_s + self.arbitration_window_s:
            raise ValueError("unbonding must outlast the grace and arbitration windows together")


def init_config(
    deployment: Deployment, *, treasury: Pubkey, arbiter: Pubkey, terms: MarketTerms
) -> Instruction:
    """Create the market. Signer: the deployment's admin, who pays the rent.

    Args:
        treasury: USDC token account that receives the fees.
        arbiter: who decides disputes.
    """
    return program_instruction(
        deployment,
        Tag.INIT_CONFIG,
        struct.pack("<HH", terms.fee_bps, terms.slash_bps)
        + u64(terms.min_stake_micro_usdc)
        + i64(terms.unbonding_window_s)
        + i64(terms.grace_window_s)
        + i64(terms.arbitration_window_s)
        + u64(terms.domain)
        + bytes(arbiter),
        signer(deployment.admin, writable=True),
        writable(deployment.config),
        read_only(deployment.usdc_mint),
        read_only(treasury),
        read_only(SYSTEM_PROGRAM_ID),
    )


def set_paused(deployment: Deployment, *, paused: bool) -> Instruction:
    """Stop or resume new stakes, deposits and escrows. Signer: the deployment's admin."""
    return program_instruction(
        deployment,
        Tag.SET_PAUSED,
        struct.pack("<B", paused),
        signer(deployment.admin),
        writable(deployment.config),
    )
