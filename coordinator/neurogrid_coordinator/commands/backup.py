"""``backup | restore``: a copy of what a coordinator knows, and the way back from one."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options
from .options import EXIT_DIFFERENT, fail

if TYPE_CHECKING:
    from ..backups.manifest import Manifest


@click.command()
@options.directory
@click.argument("file", type=click.Path(path_type=Path, resolve_path=True))
@click.option("--with-keys", is_flag=True, help="Also the keys. WHO HAS THE FILE CAN THEN SPEND.")
@click.option("--without-artifacts", is_flag=True, help="Leave input and output files out.")
@options.as_json
def backup(
    directory: Path, file: Path, with_keys: bool, without_artifacts: bool, as_json: bool
) -> None:
    """Copy the state of a coordinator, running or not, to a new FILE, or into a folder.

    Into a folder it is named by the time. Exit code 1 if stored files are damaged: those are left out.
    """
    import time

    from ..backups.saving import BackupInUse, NotOurFile, save
    from ..config import ConfigError
    from ..store.migrations import SchemaTooNew
    from ..store.sqlite_file import DamagedDatabase

    if file.is_dir():
        file = file / time.strftime("coordinator-%Y%m%dT%H%M%SZ.tar", time.gmtime())
    try:
        made = save(
            directory, file, artifacts=not without_artifacts, keys=with_keys, progress=show_progress
        )
    except (BackupInUse, NotOurFile, ConfigError, DamagedDatabase, SchemaTooNew, OSError) as error:
        fail(str(error))
    finally:
        end_progress()
    _show(made, file, as_json)
    if with_keys:
        click.echo(
            f"{file} HOLDS THE KEYS: whoever reads it can spend what clients let this coordinator "
            "spend. Keep it as you keep them.",
            err=True,
        )
    for sha256 in made.damaged[:20]:
        click.echo(f"damaged, and left out: artifacts/{sha256[:2]}/{sha256}", err=True)
    if made.damaged:
        sys.exit(EXIT_DIFFERENT)


@click.command()
@options.directory
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@options.as_json
def restore(directory: Path, file: Path, as_json: bool) -> None:
    """Make an empty or new directory (--data) from a backup, once all of it is checked.

    Its first start cancels every task that had not ended when the backup was made.
    """
    from ..backups.archive import BadArchive
    from ..backups.manifest import KEY_FILES, BackupTooNew
    from ..backups.restoring import DirectoryInUse
    from ..backups.restoring import restore as put_in_place

    try:
        described = put_in_place(file, directory, show_progress)
    except (BadArchive, BackupTooNew) as error:
        fail(f"{file} is not restored: {error}")
    except (DirectoryInUse, OSError) as error:
        fail(str(error))
    finally:
        end_progress()
    _show(described, directory, as_json)
    if not described.keys:
        click.echo(
            f"Put {', '.join(KEY_FILES)} of the same coordinator into {directory} before you start "
            "it: the backup has none.",
            err=True,
        )


def show_progress(what: str, done: int, of: int) -> None:
    """On a terminal, in one line."""
    if sys.stderr.isatty():
        part = f"{done / of:4.0%}" if of else f"{done}"
        click.echo(f"\r\x1b[K{what} {part}", nl=False, err=True)


def end_progress() -> None:
    """Take the line away."""
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)


def _show(manifest: "Manifest", path: Path, as_json: bool) -> None:
    size_bytes = sum(item.size_bytes for item in manifest.files)
    if as_json:
        shown = {
            "path": str(path),
            "version": manifest.version,
            "schema": manifest.schema,
            "made_at_ms": manifest.made_at_ms,
            "files": len(manifest.files),
            "size_bytes": size_bytes,
            "artifacts": manifest.artifacts,
            "keys": manifest.keys,
            "absent": manifest.absent,
            "damaged": list(manifest.damaged),
        }
        click.echo(json.dumps(shown))
        return
    click.echo(
        f"{path}\n{len(manifest.files)} files, {size_bytes} bytes, schema {manifest.schema}, "
        f"{'with' if manifest.keys else 'without'} keys, "
        f"{'with' if manifest.artifacts else 'without'} artifacts"
    )
