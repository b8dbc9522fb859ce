"""``neurogrid wallet payout show|set|sign``."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from neurogrid_contracts.terminal.output import print_fields, print_json
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.session import FILE, Session, with_session
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.payout_address import (
    PayoutRule,
    bind_cold_key,
    parse_statement,
    read_payout_rule,
    write_payout_rule,
)


@click.group()
def payout() -> None:
    """Where the wallet pays out to. After the first time only the cold key can change it.

    `withdraw` and `send` then pay that address alone. This binds these commands: whoever has the
    wallet's key and other software is bound by the chain only.
    """


@payout.command()
@with_session
def show(session: Session) -> None:
    """Show the payout address and the cold key that decides."""
    wallet = session.wallet()
    rule = read_payout_rule(wallet.payout_path, wallet.address)
    _print_rule(session, rule)


@payout.command("set")
@click.argument("address", required=False)
@click.option(
    "--cold",
    metavar="ADDRESS",
    help="The first time: the cold key; else the payout address itself.",
)
@click.option("--statement", metavar="TEXT", help="What `payout sign` was given.")
@click.option("--signature", metavar="TEXT", help="What `payout sign` printed.")
@with_session
def set_(
    session: Session,
    address: str | None,
    cold: str | None,
    statement: str | None,
    signature: str | None,
) -> None:
    """Pay out to ADDRESS from now on.

    The first time the wallet's own key decides. From then on this prints a statement for the cold
    key to sign, on whatever machine it is; --statement and --signature bring the answer back.
    """
    wallet = session.wallet()
    rule = read_payout_rule(wallet.payout_path, wallet.address)
    if statement is not None or signature is not None:
        if rule is None or statement is None or signature is None or address or cold:
            raise UsageRefused("--statement and --signature go together, and change a set address")
        now_unix_s = int(time.time())
        rule = rule.changed(parse_statement(statement), signature.strip(), now_unix_s)
        write_payout_rule(wallet.payout_path, rule, overwrite=True)
        _print_rule(session, rule)
        return
    if address is None:
        raise UsageRefused("which address?")
    if rule is None:
        session.confirm(
            f"{wallet.name} will pay out to {address} only.",
            f"Only the key of {cold or address} can change that.",
        )
        rule = bind_cold_key(session.unlock(wallet), cold or address, address)
        write_payout_rule(wallet.payout_path, rule, overwrite=False)
        _print_rule(session, rule)
        return
    if cold is not None:
        raise UsageRefused("the cold key is set already and cannot be exchanged")
    text = str(rule.next_statement(address, int(time.time())))
    if session.as_json:
        print_json({"statement": text, "cold": rule.cold})
        return
    click.echo(f"Have {rule.cold} sign this, within a week:", err=True)
    click.echo(text)
    click.echo("  neurogrid wallet payout sign 'STATEMENT'     where the cold key is", err=True)
    click.echo(
        "  neurogrid wallet payout set --statement 'STATEMENT' --signature SIGNATURE", err=True
    )


@payout.command()
@click.argument("statement")
@click.option("--keypair", type=FILE, help="Sign with this Solana key file, not with a wallet.")
@with_session
def sign(session: Session, statement: str, keypair: Path | None) -> None:
    """Sign a STATEMENT with the cold key: this wallet, or a key file. Needs no network."""
    said = parse_statement(statement)
    expires = datetime.fromtimestamp(said.expires_unix_s, UTC)
    session.confirm(
        f"The wallet {said.wallet} will pay out to {said.payout}.",
        f"Change number {said.number}, to be used before {expires.isoformat()}.",
    )
    key = KeyPair.read_solana_file(keypair) if keypair else session.unlock(session.wallet())
    signature = said.sign(key)
    if session.as_json:
        print_json({"signature": signature, "signer": key.address})
    else:
        click.echo(signature)


def _print_rule(session: Session, rule: PayoutRule | None) -> None:
    fields: dict[str, Any] = {"payout": None, "cold": None, "changes": 0}
    if rule is not None:
        fields = {"payout": rule.payout, "cold": rule.cold, "changes": rule.number}
    if session.as_json:
        print_json(fields)
    elif rule is None:
        click.echo("no payout address: withdrawals go to the wallet itself")
    else:
        print_fields([("pays out to", rule.payout), ("cold key", rule.cold)])
