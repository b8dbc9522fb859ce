"""``neurogrid account``."""

import click

from .output import print_fields, print_json, usdc
from .session import Session, with_session


@click.command()
@with_session
def account(session: Session) -> None:
    """Show who the key belongs to, and where the money is."""
    found = session.client.account()
    if session.as_json:
        print_json(found)
        return
    balance = found.balance
    print_fields(
        [
            ("account", found.id),
            ("name", found.name),
            ("wallet", found.wallet),
            ("available", usdc(balance.available)),
            ("held", f"{usdc(balance.held)}  for tasks that have no escrow yet"),
            ("escrowed", f"{usdc(balance.escrowed)}  locked on the chain for running tasks"),
            ("in wallet", usdc(balance.wallet)),
            ("limit", f"{usdc(balance.operator_limit)}  that the coordinator may still lock"),
        ]
    )
