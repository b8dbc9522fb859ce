"""One payment of a command: planned, asked about, made once, and told."""

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import click

from neurogrid_contracts.client_money import (
    Outcome,
    Plan,
    Standing,
    carry_out,
    is_begun,
    preflight,
)
from neurogrid_contracts.terminal.output import print_json
from neurogrid_contracts.wallet_cli.chain import Chain, Desk, at_desk, running
from neurogrid_contracts.wallet_cli.session import Session
from neurogrid_contracts.wallet_cli.standing import amounts, client_fields
from neurogrid_marketplace.money import format_usdc
from neurogrid_wallet.errors import InsufficientFunds

# A public cluster finalizes in a quarter of a minute; an attempt that dies takes two more.
TIMEOUT_S = 180.0

Planner = Callable[[Standing], Plan]


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
                "wallet": amounts(left.tokens_micro),
                "client": None if left.client is None else client_fields(left),
            }
        )
        return
    done = "was done by the interrupted command" if outcome.resumed else "done"
    click.echo(f"{done}: {plan.says[0]}")
    click.echo(f"final in slot {payment.landed_slot}: {payment.signature}")
    if outcome.resumed:
        click.echo("Run the command again to do it once more.", err=True)
