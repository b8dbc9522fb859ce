"""``neurogrid funds balance | deposit | withdraw | limit | transfers``: money by the coordinator's REST API."""

from pathlib import Path

import click

from ..models.earnings import Transfer
from .output import print_fields, print_json, print_table, printable, usdc, when
from .session import Session, with_session

wallet_key_option = click.option(
    "--wallet-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The wallet's key file (Solana's format) [NEUROGRID_WALLET_KEY].",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def funds() -> None:
    """Deposit and withdraw by way of the coordinator; the wallet's key signs here.

    The coordinator writes the transactions. `neurogrid wallet` writes them itself, and asks nobody but the chain.
    """


@funds.command("balance")
@with_session
def show_balance(session: Session) -> None:
    """Show all that you have, by what the chain says now."""
    found = session.client.wallet.get_balance()
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("deposited", usdc(found.deposited)),
            ("free", f"{usdc(found.free)}  can be withdrawn"),
            ("held", f"{usdc(found.held)}  for tasks that have no escrow yet"),
            ("escrowed", f"{usdc(found.escrowed)}  locked on the chain for tasks"),
            ("limit", f"{usdc(found.operator_limit)}  that the coordinator may still lock"),
            ("in wallet", usdc(found.in_wallet)),
            ("wallet", found.wallet),
        ]
    )


@funds.command("deposit")
@click.argument("amount")
@click.option("--limit", metavar="USDC", help="Also let the coordinator lock so much for tasks.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@wallet_key_option
@yes_option
@with_session
def deposit(
    session: Session,
    *,
    amount: str,
    limit: str | None,
    days: int,
    wallet_key: Path | None,
    yes: bool,
) -> None:
    """Move AMOUNT USDC from your wallet into your deposit, from which tasks are paid."""
    transfer = session.client.wallet.deposit(amount, operator_limit=limit, operator_days=days)
    carry_out(session, transfer, wallet_key, yes=yes)


@funds.command("withdraw")
@click.argument("amount")
@click.option("--to", "wallet_address", metavar="WALLET", help="Your own, if left out.")
@wallet_key_option
@yes_option
@with_session
def withdraw(
    session: Session,
    *,
    amount: str,
    wallet_address: str | None,
    wallet_key: Path | None,
    yes: bool,
) -> None:
    """Take AMOUNT USDC out of your deposit."""
    transfer = session.client.wallet.withdraw(amount, wallet_address=wallet_address)
    carry_out(session, transfer, wallet_key, yes=yes)


@funds.command("limit")
@click.argument("amount")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True)
@wallet_key_option
@yes_option
@with_session
def set_limit(
    session: Session, *, amount: str, days: int, wallet_key: Path | None, yes: bool
) -> None:
    """Let the coordinator lock AMOUNT USDC in all for tasks; 0 ends it."""
    transfer = session.client.wallet.set_operator_limit(amount, days=days)
    carry_out(session, transfer, wallet_key, yes=yes)


@funds.command("transfers")
@click.argument("transfer_id", required=False)
@click.option("--limit", type=click.IntRange(1, 100), default=50, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_transfers(session: Session, *, transfer_id: str | None, limit: int, offset: int) -> None:
    """List what your wallet was asked to sign, or show one of it."""
    if transfer_id is not None:
        _show(session, session.client.wallet.get_transfer(transfer_id))
        return
    page = session.client.wallet.list_transfers(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("TRANSFER", "WHEN", "KIND", "STATUS", "AMOUNT"),
        (
            (item.id, when(item.created_at), item.kind, item.status, usdc(item.amount))
            for item in page.transfers
        ),
    )


def carry_out(session: Session, transfer: Transfer, key: Path | None, *, yes: bool) -> None:
    """Show what is to be signed, sign it and hand it in."""
    if transfer.message is not None:
        for line in transfer.does:
            click.echo(printable(line), err=True)
        if not yes:
            click.confirm(f"Sign this with {transfer.wallet}?", abort=True, err=True)
        of_client = session.client.wallet
        transfer = of_client.submit(transfer.id, of_client.sign(transfer, key))
    _show(session, transfer)
    if not session.as_json:
        click.echo(f"`neurogrid funds transfers {transfer.id}` shows what becomes of it.", err=True)


def _show(session: Session, transfer: Transfer) -> None:
    if session.as_json:
        print_json(transfer)
        return
    print_fields(
        [
            ("transfer", transfer.id),
            ("kind", transfer.kind),
            ("status", transfer.status),
            ("amount", usdc(transfer.amount)),
            ("to", transfer.wallet_address),
            ("signature", transfer.signature),
            ("failure", transfer.failure),
        ]
    )
