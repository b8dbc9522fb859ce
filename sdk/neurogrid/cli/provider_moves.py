"""``neurogrid provider unstake | rebond | withdraw | close | payout | claim``: what moves a provider's money, by REST."""

from pathlib import Path

import click

from .funds import carry_out, wallet_key_option, yes_option
from .provider import provider, signing
from .session import Session, with_session


@provider.command("unstake")
@click.argument("amount")
@wallet_key_option
@yes_option
@with_session
def unstake(session: Session, *, amount: str, wallet_key: Path | None, yes: bool) -> None:
    """Begin to take AMOUNT USDC out of your stake; it can be withdrawn when the market's window has passed."""
    transfer = signing(session, wallet_key).staking.unstake(amount)
    carry_out(session, transfer, wallet_key, yes=yes)


@provider.command("rebond")
@click.argument("amount")
@wallet_key_option
@yes_option
@with_session
def rebond(session: Session, *, amount: str, wallet_key: Path | None, yes: bool) -> None:
    """Let AMOUNT USDC that unbond be stake again."""
    transfer = signing(session, wallet_key).staking.rebond(amount)
    carry_out(session, transfer, wallet_key, yes=yes)


@provider.command("withdraw")
@wallet_key_option
@yes_option
@with_session
def withdraw(session: Session, *, wallet_key: Path | None, yes: bool) -> None:
    """Withdraw all stake that has unbonded."""
    transfer = signing(session, wallet_key).staking.withdraw()
    carry_out(session, transfer, wallet_key, yes=yes)


@provider.command("close")
@wallet_key_option
@yes_option
@with_session
def close(session: Session, *, wallet_key: Path | None, yes: bool) -> None:
    """Close your provider account, once nothing is staked, unbonding or in escrow; its rent comes back."""
    transfer = signing(session, wallet_key).staking.close()
    carry_out(session, transfer, wallet_key, yes=yes)


@provider.command("payout")
@click.argument("amount")
@click.option("--to", "wallet_address", metavar="WALLET", required=True, help="Who gets it.")
@wallet_key_option
@yes_option
@with_session
def payout(
    session: Session, *, amount: str, wallet_address: str, wallet_key: Path | None, yes: bool
) -> None:
    """Send AMOUNT USDC of what your wallet has earned to another one."""
    transfer = signing(session, wallet_key).payouts.request(amount, wallet_address=wallet_address)
    carry_out(session, transfer, wallet_key, yes=yes)


@provider.command("claim")
@click.argument("lease_id", metavar="LEASE")
@wallet_key_option
@yes_option
@with_session
def claim(session: Session, *, lease_id: str, wallet_key: Path | None, yes: bool) -> None:
    """Redeem what was signed for a job whose machine died before it did so."""
    transfer = signing(session, wallet_key).earnings.claim(lease_id)
    carry_out(session, transfer, wallet_key, yes=yes)
