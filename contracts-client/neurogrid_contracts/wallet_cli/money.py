"""``neurogrid wallet balance|send|deposit|withdraw|resume``."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import click
from solders.pubkey import Pubkey

from neurogrid_contracts.client_money import (
    Outcome,
    Plan,
    Standing,
    carry_out,
    is_begun,
    plan_deposit,
    plan_send,
    plan_withdraw,
    preflight,
)
from neurogrid_contracts.terminal.output import exact_sol, print_fields, print_json
from neurogrid_contracts.wallet_cli.chain import Chain, Desk, ask, at_desk, running, with_chain
from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_contracts.wallet_cli.session import Session, with_session
from neurogrid_marketplace.money import format_usdc, parse_usdc
from neurogrid_wallet.chain import Commitment
from neurogrid_wallet.errors import InsufficientFunds, PaymentFailed, RpcError
from neurogrid_wallet.keys import public_key_of
from neurogrid_wallet.payout_address import read_payout_rule
from neurogrid_wallet.rpc import Rpc

# A public cluster finalizes in a quarter of a minute; an attempt that dies takes two more.
TIMEOUT_S = 180.0

Planner = Callable[[Standing], Plan]

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
@with_session
@with_chain
def balance(session: Session, chain: Chain) -> None:
    """Show what the wallet and its client account hold.

    Only what is final counts. From a large sum on, two endpoints have to say the same.
    """
    wallet = session.wallet()
    wallet.require_usable()
    owner = Pubkey.from_string(wallet.address)

    async def question(rpc: Rpc, second: Rpc | None) -> None:
        standing = await chain.standing(rpc, owner, Commitment.FINALIZED)
        newest = await chain.standing(rpc, owner)
        agreement = await _second_word(chain, second, owner, standing)
        _print_balance(session, chain, wallet.address, standing, newest, agreement)

    ask(chain, question)


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


def make_payment(
    session: Session,
    chain: Chain,
    planner: Planner,
    given_id: str | None,
    timeout_s: float,
    fields: dict[str, Any],
) -> None:
    """Plan, ask, unlock, pay once, and say what became of it.

    Args:
        fields: go into the JSON result.
    """
    wallet = session.wallet()

    async def work(desk: Desk) -> None:
        plan = planner(await chain.standing(desk.rpc, desk.owner))
        begun = await is_begun(desk.outbox, plan, desk.owner, given_id)
        if begun:
            click.echo("an interrupted command has begun this payment: seeing it through", err=True)
        else:
            if plan.lacks:
                raise InsufficientFunds(plan.lacks)
            await anyio.to_thread.run_sync(session.confirm, *plan.says)
        key = await anyio.to_thread.run_sync(session.unlock, wallet)
        if not begun:
            await preflight(desk.rpc, plan, key)

        async def tell(outcome: Outcome) -> None:
            left = await chain.standing(desk.rpc, desk.owner)
            _print_outcome(session, plan, outcome, left, fields)

        async with running(desk, key):
            await carry_out(
                desk.outbox, plan, desk.owner, given_id=given_id, timeout_s=timeout_s, tell=tell
            )

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


async def _second_word(
    chain: Chain, second: Rpc | None, owner: Pubkey, first: Standing
) -> str | None:
    """Why a large balance cannot be relied on yet; None where it can, or is small."""
    client_micro = 0 if first.client is None else first.client.balance_micro_usdc
    largest = max([client_micro, *first.tokens_micro.values()])
    if largest < chain.config.two_endpoints_from_micro_usdc():
        return None
    if second is None:
        return "no second endpoint is configured to check so large a sum"
    try:
        other = await chain.standing(second, owner, Commitment.FINALIZED)
    except RpcError as error:
        return f"the second endpoint gives no answer: {error}"
    if (other.tokens_micro, other.client) == (first.tokens_micro, first.client):
        return None
    return "the two endpoints disagree: wait, and look again"


def _print_balance(
    session: Session,
    chain: Chain,
    address: str,
    standing: Standing,
    newest: Standing,
    doubt: str | None,
) -> None:
    client = standing.client
    if session.as_json:
        print_json(
            {
                "address": address,
                "sol": exact_sol(standing.lamports),
                "wallet": _amounts(standing.tokens_micro),
                "wallet_not_final": _amounts(
                    {
                        name: newest.tokens_micro[name] - micro
                        for name, micro in standing.tokens_micro.items()
                    }
                ),
                "client": None if client is None else client_fields(standing),
                "verified": doubt is None,
                "doubt": doubt,
            }
        )
        return
    rows: list[tuple[str, str | None]] = [("address", address)]
    rows.append(("SOL", f"{exact_sol(standing.lamports)}  for fees"))
    for name, micro in standing.tokens_micro.items():
        coming = newest.tokens_micro[name] - micro
        note = f"  ({format_usdc(coming)} not final yet)" if coming else ""
        rows.append((name, f"{format_usdc(micro)}  in the wallet{note}"))
    if client is not None:
        name = chain.currency(None).name
        rows.append(("client", f"{format_usdc(client.available_micro_usdc)} {name} available"))
        rows.append(("", f"{format_usdc(client.locked_micro_usdc)} {name} locked for jobs"))
    print_fields([(label or " ", value) for label, value in rows])
    if doubt is not None:
        click.echo(f"not verified: {doubt}", err=True)


def client_fields(standing: Standing) -> dict[str, Any]:
    """The client account for programs."""
    client = standing.client
    assert client is not None, "asked for where there is one"
    return {
        "balance": format_usdc(client.balance_micro_usdc),
        "available": format_usdc(client.available_micro_usdc),
        "locked": format_usdc(client.locked_micro_usdc),
        "spent": format_usdc(client.spent_micro_usdc),
        "open_escrows": client.open_escrows,
    }


def _print_outcome(
    session: Session, plan: Plan, outcome: Outcome, left: Standing, fields: dict[str, Any]
) -> None:
    payment = outcome.payment
    if session.as_json:
        print_json(
            {
                "state": payment.state.value,
                "signature": payment.signature,
                "slot": payment.landed_slot,
                "amount": format_usdc(plan.worth_micro_usdc),
                **fields,
                "resumed": outcome.resumed,
                "wallet": _amounts(left.tokens_micro),
                "client": None if left.client is None else client_fields(left),
            }
        )
        return
    done = "was done by the interrupted command" if outcome.resumed else "done"
    click.echo(f"{done}: {plan.says[0]}")
    click.echo(f"final in slot {payment.landed_slot}: {payment.signature}")
    if outcome.resumed:
        click.echo("Run the command again to do it once more.", err=True)


def _amounts(tokens_micro: dict[str, int]) -> dict[str, str]:
    return {name: format_usdc(micro) for name, micro in tokens_micro.items()}
