"""``neurogrid wallet send|deposit|withdraw|resume``."""

from typing import Any

import anyio.to_thread
import click
from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import (
    Plan,
    Standing,
    plan_deposit,
    plan_send,
    plan_withdraw,
)
from neurogrid_contracts.terminal.output import print_json
from neurogrid_contracts.wallet_cli.chain import Chain, Desk, at_desk, running, with_chain
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.paying import TIMEOUT_S, make_payment
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_marketplace.money import parse_usdc
from neurogrid_wallet.errors import InsufficientFunds, PaymentFailed
from neurogrid_wallet.keys import public_key_of
from neurogrid_wallet.payout_address import read_payout_rule

_id = click.option(
    "--id",
    "given_id",
    metavar="ID",
    help="Your name for the payment: with one id, it is made once for ever.",
)
_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 86_400),
    default=TIMEOUT_S,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until it is final.",
)


@click.command()
@click.argument("recipient", metavar="ADDRESS")
@click.argument("amount")
@click.option("--currency", metavar="NAME", help="Else the market's, or USDC.")
@click.option("--memo", "note", metavar="TEXT", help="A note that everybody can read, for ever.")
@_id
@_timeout
@with_session
@with_chain
def send(
    session: Session,
    chain: Chain,
    recipient: str,
    amount: str,
    currency: str | None,
    note: str | None,
    given_id: str | None,
    timeout_s: float,
) -> None:
    """Send AMOUNT (or "all") to ADDRESS, once, and wait until it is final.

    A wallet with a payout address sends there only.
    """
    wallet = session.wallet()
    wallet.require_key()
    to = Pubkey(public_key_of(recipient))
    if str(to) == wallet.address:
        raise UsageRefused("this is the wallet's own address")
    rule = read_payout_rule(wallet.payout_path, wallet.address)
    if rule is not None:
        rule.require(recipient)
    token = chain.currency(currency)
    owner = Pubkey.from_string(wallet.address)

    def plan(standing: Standing) -> Plan:
        held = standing.tokens_micro[token.name]
        return plan_send(standing, owner, to, token, _amount(amount, held), note)

    make_payment(session, chain, plan, given_id, timeout_s, {"currency": token.name})


@click.command()
@click.argument("amount")
@_id
@_timeout
@with_session
@with_chain
def deposit(
    session: Session, chain: Chain, amount: str, given_id: str | None, timeout_s: float
) -> None:
    """Move AMOUNT (or "all") into the client account, from which jobs are paid."""
    wallet = session.wallet()
    wallet.require_key()
    deployment, token = chain.market(), chain.currency(None)
    owner = Pubkey.from_string(wallet.address)

    def plan(standing: Standing) -> Plan:
        held = standing.tokens_micro[token.name]
        return plan_deposit(standing, owner, deployment, token, _amount(amount, held))

    make_payment(session, chain, plan, given_id, timeout_s, {"currency": token.name})


@click.command()
@click.argument("amount")
@_id
@_timeout
@with_session
@with_chain
def withdraw(
    session: Session, chain: Chain, amount: str, given_id: str | None, timeout_s: float
) -> None:
    """Take AMOUNT (or "all" that is unlocked) out of the client account.

    It goes to the payout address, or to the wallet itself where none is set.
    """
    wallet = session.wallet()
    wallet.require_key()
    deployment, token = chain.market(), chain.currency(None)
    owner = Pubkey.from_string(wallet.address)
    rule = read_payout_rule(wallet.payout_path, wallet.address)
    to = owner if rule is None else Pubkey.from_string(rule.payout)

    def plan(standing: Standing) -> Plan:
        available = 0 if standing.client is None else standing.client.available_micro_usdc
        return plan_withdraw(standing, owner, deployment, token, _amount(amount, available), to)

    make_payment(session, chain, plan, given_id, timeout_s, {"currency": token.name})


@click.command()
@_timeout
@with_session
@with_chain
def resume(session: Session, chain: Chain, timeout_s: float) -> None:
    """Finish what interrupted commands have begun, and nothing else."""
    wallet = session.wallet()
    wallet.require_key()

    async def work(desk: Desk) -> None:
        waiting = await desk.outbox.undecided_ids()
        results: list[dict[str, Any]] = []
        if waiting:
            key = await anyio.to_thread.run_sync(session.unlock, wallet)
            async with running(desk, key):
                for payment_id in waiting:
                    results.append(await _finished(desk, payment_id, timeout_s))
        if session.as_json:
            print_json(results)
        for result in () if session.as_json else results:
            click.echo(f"{result['state']} {result['signature']}")
        if not waiting and not session.as_json:
            click.echo("nothing was interrupted")

    at_desk(chain, wallet, work)


async def _finished(desk: Desk, payment_id: str, timeout_s: float) -> dict[str, Any]:
    try:
        payment = await desk.outbox.finalized(payment_id, timeout_s)
    except PaymentFailed as error:
        payment = error.payment
    if payment_id.startswith("auto "):
        await desk.outbox.forget(payment_id)
    return {
        "payment": payment_id,
        "state": payment.state.value,
        "signature": payment.signature,
        "failure": None if payment.failure is None else str(payment.failure),
    }


def _amount(text: str, all_micro: int) -> int:
    if text != "all":
        amount_micro = parse_usdc(text)
        if amount_micro == 0:
            raise UsageRefused("an amount must be more than zero")
        return amount_micro
    if all_micro == 0:
        raise InsufficientFunds("there is nothing to move")
    return all_micro
