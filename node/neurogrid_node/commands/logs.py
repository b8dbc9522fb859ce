"""`neurogrid-node logs`: what a running job writes, and what the daemon does."""

import json
from pathlib import Path

import click

from . import options
from .exits import fail
from .tailing import LINES_MAX, read_log
from .terminal import harmless


@click.command()
@click.argument("lease_id", required=False)
@click.option("--daemon", "of_daemon", is_flag=True, help="The node's own log instead of a job's.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option(
    "--tail", "lines", type=click.IntRange(0, LINES_MAX), help="Only so many lines of before."
)
@options.directory
@options.json_output
def logs(
    lease_id: str | None,
    of_daemon: bool,
    follow: bool,
    lines: int | None,
    directory: Path,
    as_json: bool,
) -> None:
    """The log of a job that is here, or of the daemon.

    A job's log goes with its lease: its client has it. With --follow this ends when it does. With --json
    each piece is an object {"text": ...} on a line. Exit code 2 if there is no such log.
    """
    if (lease_id is None) is not of_daemon:
        raise click.UsageError("name a lease, or --daemon")
    path = _daemons(directory) if lease_id is None else _jobs(directory, lease_id)
    try:
        for text in read_log(path, lines, follow=follow, comes_back=of_daemon):
            if text:
                _say(text, as_json)
    except FileNotFoundError:
        what = "the node has logged nothing yet" if of_daemon else f"no log of {lease_id} is here"
        fail(f"{what}: {path} does not exist")
    except BrokenPipeError:
        raise  # nobody reads its output any more
    except OSError as error:
        fail(str(error))


def _say(text: str, as_json: bool) -> None:
    click.echo(json.dumps({"text": text}) if as_json else harmless(text), nl=as_json)


def _jobs(directory: Path, lease_id: str) -> Path:
    from msgspec import ValidationError, convert

    from ..control.requests import LeaseId

    try:
        convert(lease_id, type=LeaseId)
    except ValidationError:
        fail(f"{lease_id!r} is no lease id: `neurogrid-node jobs` lists them")
    return directory / "logs" / f"{lease_id}.log"


def _daemons(directory: Path) -> Path:
    from ..config import CONFIG_NAME, ConfigError, load_config

    try:
        log = load_config(directory / CONFIG_NAME).log.below(directory)
    except ConfigError as error:
        fail(str(error))
    if not log.file:
        fail(
            "the node logs to its standard error: `journalctl -u neurogrid-node` where it is a service, or "
            f"set [log] file in {directory / CONFIG_NAME} and restart it"
        )
    return Path(log.file)
