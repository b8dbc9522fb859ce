"""``neurogrid wallet list|use|show|address``."""

from typing import Any

import click

from neurogrid_contracts.terminal.output import print_fields, print_json
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_wallet.payout_address import read_payout_rule
from neurogrid_wallet.wallets import Wallet


@click.command("list")
@with_session
def list_(session: Session) -> None:
    """List the wallets; the default one is marked."""
    default = session.folder.default()
    wallets = [session.folder.open(name) for name in session.folder.names()]
    if session.as_json:
        print_json([describe(wallet) | {"default": wallet.name == default} for wallet in wallets])
        return
    for wallet in wallets:
        mark = "*" if wallet.name == default else " "
        click.echo(
            f"{mark} {wallet.name:16} {_shown_address(wallet) or ''} {_kind(wallet)}".rstrip()
        )
    if not wallets:
        click.echo(f"no wallets in {session.folder.path}", err=True)


@click.command()
@click.argument("wallet_name", metavar="NAME")
@with_session
def use(session: Session, wallet_name: str) -> None:
    """Choose the wallet that is meant when none is named."""
    session.folder.set_default(wallet_name)
    if session.as_json:
        print_json({"default": wallet_name})
    else:
        click.echo(f"{wallet_name} is the default wallet")


@click.command()
@with_session
def show(session: Session) -> None:
    """Show a wallet without asking any chain."""
    wallet = session.wallet()
    rule = read_payout_rule(wallet.payout_path, wallet.address)
    fields = describe(wallet) | {"payout": None if rule is None else rule.payout}
    if session.as_json:
        print_json(fields | {"path": str(wallet.path)})
        return
    print_fields(
        [
            ("wallet", wallet.name),
            ("address", _shown_address(wallet) or "not before it is backed up"),
            ("kind", _kind(wallet) or "key"),
            ("pays out to", None if rule is None else rule.payout),
            ("files", str(wallet.path)),
        ]
    )


@click.command()
@with_session
def address(session: Session) -> None:
    """Print the address that others pay to, and nothing else."""
    wallet = session.wallet()
    wallet.require_usable()
    if session.as_json:
        print_json({"address": wallet.address})
    else:
        click.echo(wallet.address)


def describe(wallet: Wallet) -> dict[str, Any]:
    """A wallet for programs. No address before it is backed up: nobody shall pay there yet."""
    return {
        "name": wallet.name,
        "address": _shown_address(wallet),
        "watch_only": wallet.watch_only,
        "backed_up": wallet.backed_up,
    }


def _shown_address(wallet: Wallet) -> str | None:
    return wallet.address if wallet.backed_up else None


def _kind(wallet: Wallet) -> str:
    if wallet.watch_only:
        return "watched only"
    return "" if wallet.backed_up else "not backed up: neurogrid wallet backup"
