"""What a wallet is asked to sign, in instructions and in words. Pure.

What clients do with their deposit is planned by `neurogrid_contracts.client_money`; here is the rest. The
program checks all of it again: a refusal here costs no fee and says what to do.
"""

from datetime import UTC, datetime

from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Plan
from neurogrid_contracts.deployment import Deployment
from neurogrid_contracts.instructions import set_operator
from neurogrid_marketplace.money import format_usdc


def with_spending_limit(
    deposit: Plan,
    owner: Pubkey,
    deployment: Deployment,
    operator: Pubkey,
    limit_micro_usdc: int,
    expiry_unix_s: int,
) -> Plan:
    """A deposit and, in the same transaction, how much of it the coordinator may use."""
    allow = set_operator(
        deployment,
        owner=owner,
        operator=operator,
        limit_micro_usdc=limit_micro_usdc,
        expiry_unix_s=expiry_unix_s,
    )
    allows = (
        f"let the coordinator {operator} open escrows for up to {format_usdc(limit_micro_usdc)} USDC until "
        f"{moment(expiry_unix_s)}; it can't withdraw"
    )
    return Plan(
        (*deposit.says, allows),
        (*deposit.instructions, allow),
        deposit.worth_micro_usdc,
        deposit.first,
        deposit.lacks,
    )


def moment(unix_s: int) -> str:
    """A moment by the chain's clock, for people."""
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
