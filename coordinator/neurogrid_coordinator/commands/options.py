"""What the commands share: options, and how one ends."""

import sys
from pathlib import Path
from typing import NoReturn

import click

# A command that looked, and did not like what it found.
EXIT_DIFFERENT = 1
EXIT_UNUSABLE = 2
EXIT_NOT_RUNNING = 3

directory = click.option(
    "--data",
    "directory",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    default=Path("~/.neurogrid/coordinator").expanduser(),
    show_default=True,
    help="Directory of this coordinator's configuration, keys and database.",
)
log_level = click.option(
    "--log-level",
    envvar="NEUROGRID_LOG_LEVEL",
    show_envvar=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="How much is logged; [log] level in coordinator.toml where it isn't said.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def now_ms() -> int:
    """Unix time."""
    import time

    return time.time_ns() // 1_000_000


def fail(message: str) -> NoReturn:
    """Say what is wrong, and end with 2."""
    click.echo(f"neurogrid-coordinator: {message}", err=True)
    sys.exit(EXIT_UNUSABLE)
