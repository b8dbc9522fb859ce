"""``reconcile``: the books beside the chain."""

import json
import sys
from pathlib import Path

import click

from . import options
from .options import EXIT_DIFFERENT, fail


@click.command()
@options.directory
@click.option(
    "--days",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Read the chain's history of leases settled in so many days.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=15.0,
    show_default=True,
    help="Seconds until the second look, which has to find a difference too.",
)
@options.as_json
def reconcile(directory: Path, days: int, patience_s: float, as_json: bool) -> None:
    """Compare the books with the chain now. Exit code 1 if they differ. Changes neither."""
    import asyncio

    from neurogrid_contracts.accounts import AccountFormatError
    from neurogrid_wallet.errors import WalletError

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..setup import load_keys
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from .reconciling import reconcile_now

    try:
        config, keys = load_config(directory / CONFIG_NAME), load_keys(directory)
        found = asyncio.run(
            reconcile_now(config, directory, keys, days=days, patience_s=patience_s)
        )
    except (ConfigError, WalletError, AccountFormatError, OSError) as error:
        fail(str(error))
    except (Overloaded, DatabaseInUse, ServerUnfit) as error:
        fail(str(error))
    if as_json:
        rows = [
            {
                "kind": seen.difference.kind.value,
                "subject": seen.difference.subject,
                "booked": seen.difference.booked,
                "found": seen.difference.found,
                "slot": seen.slot,
                "first_seen_at_ms": seen.first_seen_at_ms,
                "last_seen_at_ms": seen.last_seen_at_ms,
            }
            for seen in found
        ]
        click.echo(json.dumps(rows, indent=2))
    else:
        for seen in found:
            difference = seen.difference
            click.echo(f"{difference.kind}  {difference.subject}")
            click.echo(f"  booked  {difference.booked}\n  found   {difference.found}")
        count = len(found) or "no"
        click.echo(f"{count} difference{'' if len(found) == 1 else 's'} between books and chain")
    if found:
        sys.exit(EXIT_DIFFERENT)
