"""``prune``: what `[retention]` no longer keeps, now."""

import json
from pathlib import Path

import click

from . import options
from .options import fail


@click.command()
@options.directory
@click.option("--dry-run", is_flag=True, help="Only say how much would be deleted.")
@click.option(
    "--compact",
    is_flag=True,
    help="Make the SQLite file of a stopped coordinator as small as what is left in it.",
)
@options.as_json
def prune(directory: Path, dry_run: bool, compact: bool, as_json: bool) -> None:
    """Delete what [retention] of coordinator.toml no longer keeps, as a running coordinator does each hour by itself.

    Tasks, what they cost, receipts and the audit log always stay.
    """
    from neurogrid_wallet.errors import OutboxCorrupt, OutboxInUse

    from ..config import ConfigError
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from ..store.migrations import SchemaTooNew
    from ..store.sqlite_file import DamagedDatabase
    from .pruning import NotCompacted, prune_now

    if dry_run and compact:
        fail("--dry-run changes nothing, and --compact changes the file: say one of them")
    try:
        done = prune_now(directory, dry_run=dry_run, compact=compact)
    except OutboxInUse:
        fail(f"a coordinator runs on {directory}: stop it before you say --compact")
    except (ConfigError, DatabaseInUse, Overloaded, ServerUnfit, SchemaTooNew) as error:
        fail(str(error))
    except (DamagedDatabase, NotCompacted, OutboxCorrupt, OSError) as error:
        fail(str(error))
    if as_json:
        click.echo(
            json.dumps(
                {
                    "deleted": {} if dry_run else done.counts,
                    "due": done.counts if dry_run else {},
                    "bytes_before": done.bytes_before,
                    "bytes_after": done.bytes_after,
                }
            )
        )
        return
    for kind, count in done.counts.items():
        days, hours = divmod(done.hours[kind], 24)
        span = f"{24 * days + hours} hours" if hours else f"{days} days"
        kept = f"kept for {span}" if days or hours else "kept for ever"
        verb = "would be deleted" if dry_run else "deleted"
        click.echo(f"{kind:<11}{count:>9} {verb}; {kept}")
    click.echo(f"database   {done.bytes_before} bytes before, {done.bytes_after} after")
