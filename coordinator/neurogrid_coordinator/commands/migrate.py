"""``migrate``: the database's schema, forward and back."""

import json
from pathlib import Path

import click

from . import options
from .backup import end_progress, show_progress
from .options import fail


@click.command()
@options.directory
@click.option("--to", "version", type=click.IntRange(min=1), help="Schema to go to; the newest.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and lost.")
@click.option("--lose-data", is_flag=True, help="Go back although that deletes what it lists.")
@click.option("--no-backup", is_flag=True, help="Make no backup of the database first.")
@options.as_json
def migrate(
    directory: Path,
    version: int | None,
    dry_run: bool,
    lose_data: bool,
    no_backup: bool,
    as_json: bool,
) -> None:
    """Bring the database of a stopped coordinator to another schema, after a backup of it.

    A start brings it forward by itself; back is for running an older release again.
    """
    from neurogrid_wallet.errors import OutboxCorrupt, OutboxInUse

    from ..backups.saving import BackupInUse
    from ..config import ConfigError
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from ..store.migrations import NoWayBack, SchemaTooNew
    from ..store.sqlite_file import DamagedDatabase
    from .migrating import NoBackup, WouldLose, migrate_to

    try:
        done = migrate_to(
            directory,
            version,
            dry_run=dry_run,
            lose_data=lose_data,
            backup=not no_backup,
            progress=show_progress,
        )
    except OutboxInUse:
        fail(f"a coordinator runs on {directory}: stop it first")
    except WouldLose as error:
        fail(f"{error}\nWith --lose-data they are deleted; a backup is made first.")
    except (NoWayBack, SchemaTooNew, ValueError, BackupInUse, NoBackup) as error:
        fail(str(error))
    except (ConfigError, DatabaseInUse, Overloaded, ServerUnfit) as error:
        fail(str(error))
    except (DamagedDatabase, OutboxCorrupt, OSError) as error:
        fail(str(error))
    finally:
        end_progress()
    if as_json:
        shown = {
            "present": done.present,
            "known": done.known,
            "to": done.to,
            "steps": list(done.steps),
            "lost": done.lost,
            "backup": None if done.backup is None else str(done.backup),
            "done": not dry_run,
        }
        click.echo(json.dumps(shown))
        return
    click.echo(f"schema {done.present}; this release knows 1 to {done.known}")
    for step in done.steps:
        click.echo(f"  {step}")
    for what, count in done.lost.items():
        click.echo(f"  {'would lose' if dry_run else 'lost'}: {what}, {count} rows")
    if done.backup is not None:
        click.echo(f"backup  {done.backup}")
    click.echo(f"{'would be' if dry_run else 'is'} at schema {done.to}")
