"""``challenge``: a node is asked to show what it has."""

import json
import sys
from pathlib import Path

import click

from . import options
from .options import EXIT_DIFFERENT, EXIT_NOT_RUNNING, fail, now_ms


@click.command()
@options.directory
@click.argument("node")
@click.option(
    "--evidence",
    "evidence_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the signed evidence to this file.",
)
@click.option(
    "--patience",
    "patience_s",
    type=click.FloatRange(min=0),
    default=900.0,
    show_default=True,
    help="Seconds to wait for what comes of it; it goes on without.",
)
@options.as_json
def challenge(
    directory: Path, node: str, evidence_file: Path | None, patience_s: float, as_json: bool
) -> None:
    """Have the running coordinator challenge NODE, a peer id: does it have what it offers?

    \b
    Exit codes:
      0  it passed
      1  it failed
      3  it says nothing about the node, or there is nothing yet: the reason is shown
    """
    import asyncio

    from neurogrid_marketplace.challenge_answer import FINDINGS, Mark

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..store.away import DatabaseInUse, Overloaded, ServerUnfit
    from .challenging import challenge_now

    try:
        if not load_config(directory / CONFIG_NAME).trust.challenge_account:
            fail("nobody pays for challenges: set trust.challenge_account to an account's id")
        row, data = asyncio.run(
            challenge_now(directory, node, now_ms=now_ms(), patience_s=patience_s)
        )
        if evidence_file is not None and data is not None:
            evidence_file.write_bytes(data)
    except (ConfigError, Overloaded, DatabaseInUse, ServerUnfit, OSError) as error:
        fail(str(error))
    if as_json:
        shown = {
            "challenge_id": row.id,
            "node_id": row.node_id,
            "state": row.state.value,
            "note": row.note,
            "task_id": row.task_id,
            "evidence_sha256": row.digest,
        }
        click.echo(json.dumps(shown, indent=2))
    else:
        click.echo(f"{row.id}  {row.state.value}{': ' if row.note else ''}{row.note}")
    if row.state is not Mark.PASSED:
        sys.exit(EXIT_DIFFERENT if row.state in FINDINGS else EXIT_NOT_RUNNING)
