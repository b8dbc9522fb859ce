"""An estimate on a terminal; shared by ``estimate`` and ``submit --dry-run``."""

from decimal import Decimal
from typing import Any

import click

from ..models import Estimate, PriceRange
from .exit_codes import FUNDS, NO_NODE
from .output import print_fields, print_json, printable, usdc
from .resources import Resources
from .session import Session


def show_estimate(
    session: Session,
    *,
    image: str,
    resources: Resources,
    timeout: int,
    max_total: str | None,
    gang: dict[str, Any] | None = None,
) -> None:
    """Ask and print; exit as a submission would: 5 without the money, 6 without a node."""
    found = session.client.estimate(
        type="gpu" if resources.wants_gpu else "cpu",
        resource_requirements=resources.requirements(),
        docker_image=image,
        max_price_per_hour=resources.max_price,
        timeout_seconds=timeout,
        regions=resources.regions,
        where=resources.conditions(),
        **resources.preemption(),
        interactive=resources.interactive,
        max_total_cost=max_total,
        gang=gang,
        network=resources.network(),
    )
    if session.as_json:
        print_json(found)
    else:
        _print(found)
    if found.price_per_hour is None or found.suitable < found.wanted:
        raise click.exceptions.Exit(NO_NODE)
    if not found.balance.enough:
        raise click.exceptions.Exit(FUNDS)


def _print(found: Estimate) -> None:
    click.echo(found.summary)
    history = found.history
    balance = found.balance
    print_fields(
        (
            ("nodes", _nodes(found)),
            ("per hour", _range(found.price_per_hour)),
            ("in all", _range(found.total)),
            ("lowest ask", usdc(found.lowest_ask_per_hour)),
            ("start in", "" if found.start_seconds is None else f"{found.start_seconds:.1f} s"),
            ("held", usdc(found.max_cost)),
            ("balance", f"{usdc(balance.available)}{'' if balance.enough else ': not enough'}"),
            (
                "cleared at",
                ""
                if history is None
                else f"{usdc(history.median)} per {history.unit} and hour, median of "
                f"{history.awards} awards of {printable(history.name)} in 7 days",
            ),
        )
    )
    if not balance.enough:
        short: Decimal = balance.needed - balance.available
        click.echo(f"Deposit {usdc(short)} more, or lower the price or the time limit.", err=True)


def _nodes(found: Estimate) -> str:
    there = f"{found.matching} free, {found.suitable} suitable, of {found.nodes}"
    return there if found.wanted == 1 else f"{there}; {found.wanted} at once are wanted"


def _range(of: PriceRange | None) -> str:
    if of is None:
        return ""
    if of.low == of.high:
        return usdc(of.expected)
    return f"{usdc(of.expected)} ({usdc(of.low)} to {usdc(of.high)})"
