"""``neurogrid wallet history``."""

import csv
import sys
from datetime import UTC, datetime
from typing import Any

import click
from solders.pubkey import Pubkey

from neurogrid_contracts.instructions import Tag
from neurogrid_contracts.terminal.output import exact_sol, print_json
from neurogrid_contracts.wallet_cli.chain import Chain, ask, with_chain
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.history import PAGE_MAX, Movement, Page, read_page
from neurogrid_wallet.rpc import Rpc


@click.command()
@click.option("--currency", metavar="NAME", help="Else the market's, or USDC.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, PAGE_MAX),
    default=20,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--before", metavar="SIGNATURE", help="Older than this one: the next page.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@with_session
@with_chain
def history(
    session: Session,
    chain: Chain,
    currency: str | None,
    limit: int,
    before: str | None,
    as_csv: bool,
) -> None:
    """List what moved in and out of the wallet, read from the chain.

    Deposits and withdrawals of the client account are among it; what happens inside the client
    account is not.
    """
    if as_csv and session.as_json:
        raise UsageRefused("--csv or --json, not both")
    wallet = session.wallet()
    wallet.require_usable()
    owner = Pubkey.from_string(wallet.address)
    token = chain.currency(currency)
    program = None if chain.deployment is None else chain.deployment.program_id

    def name_of(called: Pubkey, data: bytes) -> str | None:
        if called != program or not data:
            return None
        known = {int(tag): tag.name.lower() for tag in Tag}
        return known.get(data[0])

    async def question(rpc: Rpc, second: Rpc | None) -> None:
        page = await read_page(rpc, owner, token.mint, limit=limit, before=before, name_of=name_of)
        rows = [_row(movement, token.name) for movement in page.movements]
        if session.as_json:
            print_json({"movements": rows, "next_before": page.next_before})
        elif as_csv:
            _print_csv(rows)
        else:
            _print_rows(rows, page)

    ask(chain, question)


_COLUMNS = (
    *("time", "direction", "amount", "currency", "counterparty", "what"),
    *("memo", "fee_sol", "signature", "failure"),
)


def _row(movement: Movement, currency: str) -> dict[str, Any]:
    direction = "none"
    if movement.change_micro:
        direction = "in" if movement.change_micro > 0 else "out"
    moment = movement.block_time_s
    return {
        "time": None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(),
        "direction": direction,
        "amount": format_usdc(abs(movement.change_micro)),
        "currency": currency,
        "counterparty": " ".join(movement.counterparties),
        "what": " ".join(movement.names),
        "memo": movement.memo,
        "fee_sol": exact_sol(movement.fee_lamports),
        "signature": movement.signature,
        "failure": None if movement.failure is None else str(movement.failure),
    }


def _print_csv(rows: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _harmless(value) for name, value in row.items()} for row in rows)


def _harmless(value: Any) -> str:
    """A memo is anybody's text: a spreadsheet must not take it for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _print_rows(rows: list[dict[str, Any]], page: Page) -> None:
    for row in rows:
        sign = {"in": "+", "out": "-"}.get(row["direction"], " ")
        about = row["failure"] or " ".join(
            filter(None, (row["what"], row["counterparty"], _printable(row["memo"])))
        )
        click.echo(f"{row['time'] or '?':25} {sign}{row['amount']:>14} {row['currency']}  {about}")
        click.echo(f"{'':25} {row['signature']}")
    if page.next_before is not None:
        click.echo(f"older ones: --before {page.next_before}", err=True)


def _printable(text: str) -> str:
    """On one line, and without anything that steers a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)
