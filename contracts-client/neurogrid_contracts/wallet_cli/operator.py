"""``neurogrid wallet operator show|set|revoke``."""

import time
from datetime import UTC, datetime

import click
from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import Plan, Standing, plan_operator
from neurogrid_contracts.terminal.output import print_fields, print_json
from neurogrid_contracts.wallet_cli.chain import Chain, ask, with_chain
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.paying import TIMEOUT_S, make_payment
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_marketplace.money import format_usdc, parse_usdc
from neurogrid_wallet.keys import public_key_of
from neurogrid_wallet.rpc import Rpc

_DAY_S = 24 * 3600


@click.group()
def operator() -> None:
    """Who may open escrows in your name, and up to what: your coordinator.

    It can never withdraw. What it may still spend falls with every escrow that it opens.
    """


@operator.command()
@with_session
@with_chain
def show(session: Session, chain: Chain) -> None:
    """Show the operator, what is left of its limit, and until when."""
    wallet = session.wallet()
    wallet.require_usable()
    owner = Pubkey.from_string(wallet.address)
    chain.market()

    async def question(rpc: Rpc, second: Rpc | None) -> None:
        client = (await chain.standing(rpc, owner)).client
        named = None if client is None else client.operator
        fields: dict[str, str | None] = {"operator": None, "limit": None, "expires": None}
        if client is not None and named is not None:
            expires = datetime.fromtimestamp(client.operator_expiry_unix_s, UTC)
            fields = {
                "operator": str(named),
                "limit": format_usdc(client.operator_limit_micro_usdc),
                "expires": expires.isoformat(),
            }
        if session.as_json:
            print_json(fields)
        elif named is None:
            click.echo("nobody may open escrows in this wallet's name")
        else:
            print_fields(fields.items())

    ask(chain, question)


@operator.command("set")
@click.argument("operator_address", metavar="ADDRESS")
@click.option("--limit", required=True, metavar="USDC", help="What its escrows may add up to.")
@click.option(
    "--days",
    type=click.IntRange(1, 3650),
    default=30,
    show_default=True,
    help="For how long, from midnight UTC.",
)
@with_session
@with_chain
def set_(session: Session, chain: Chain, operator_address: str, limit: str, days: int) -> None:
    """Let ADDRESS open escrows in this wallet's name; replaces whoever could before."""
    named = Pubkey(public_key_of(operator_address))
    limit_micro_usdc = parse_usdc(limit)
    # Whole days: a repetition after a crash then means the same thing.
    expiry_unix_s = (int(time.time()) // _DAY_S + 1 + days) * _DAY_S
    _change(session, chain, named, limit_micro_usdc, expiry_unix_s)


@operator.command()
@with_session
@with_chain
def revoke(session: Session, chain: Chain) -> None:
    """Let nobody open escrows in this wallet's name any more."""
    _change(session, chain, None, 0, 0)


def _change(
    session: Session,
    chain: Chain,
    named: Pubkey | None,
    limit_micro_usdc: int,
    expiry_unix_s: int,
) -> None:
    wallet = session.wallet()
    wallet.require_key()
    if named is not None and str(named) == wallet.address:
        raise UsageRefused("the owner needs no permission: name the coordinator's address")
    deployment = chain.market()
    owner = Pubkey.from_string(wallet.address)

    def plan(standing: Standing) -> Plan:
        return plan_operator(standing, owner, deployment, named, limit_micro_usdc, expiry_unix_s)

    fields = {"operator": None if named is None else str(named)}
    make_payment(session, chain, plan, None, TIMEOUT_S, fields)
