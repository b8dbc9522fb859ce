"""`neurogrid-node jobs`: the leases that run here, and those that did."""

import json
import time
from pathlib import Path
from typing import Any

import click

from neurogrid_marketplace.money import format_usdc

from ..money.readable import duration
from . import options


@click.command()
@click.option(
    "--past", "is_past", is_flag=True, help="Those that are over instead, the newest first."
)
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="How many of --past; the node keeps 1000.",
)
@options.directory
@options.json_output
def jobs(is_past: bool, limit: int, directory: Path, as_json: bool) -> None:
    """The jobs on this machine: lease, image, phase, since when, and what was paid.

    Whose task a lease is of no node is told. Exit code 3 if no node runs.
    """
    rows = _past(directory, limit) if is_past else _running(directory)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(_past_line(row) if is_past else _running_line(row))
    if not rows:
        click.echo("No job is over yet." if is_past else "No job is here.")


def _past(directory: Path, limit: int) -> list[dict[str, Any]]:
    from ..control.asking import ask
    from ..control.requests import Past
    from .asking import told

    with told():
        found = ask(directory, Past(limit=limit))["past"]
        assert isinstance(found, list), "our own daemon"
        return found


def _running(directory: Path) -> list[dict[str, Any]]:
    from .running import running

    found = running(directory)["leases"]
    assert isinstance(found, list), "our own file"
    return found


def _running_line(row: dict[str, Any]) -> str:
    parts = [f"{row['phase']} since {_moment(row['since_ms'])}", _metered(row)]
    if row["gpus"]:
        parts.append(" ".join(row["gpus"]))
    parts.append(f"{format_usdc(row['voucher_micro_usdc'])} USDC promised")
    return f"{row['lease_id']} {row['image'] or '(its job has not come)'}: {', '.join(parts)}"


def _past_line(row: dict[str, Any]) -> str:
    return (
        f"{row['lease_id']} {row['image'] or '(its job never came)'}: {row['outcome']}, over "
        f"{_moment(row['ended_at_ms'])}, {_metered(row)}, {format_usdc(row['earned_micro_usdc'])} USDC earned"
    )


def _metered(row: dict[str, Any]) -> str:
    price = format_usdc(row["price_micro_usdc_per_hour"])
    return f"{duration(row['metered_ms'] // 1000)} at {price} USDC per hour"


def _moment(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_ms / 1000))
