"""`neurogrid-node reclaim`: the machine back from preemptible jobs."""

import json
from pathlib import Path

import click

from . import options


@click.command()
@click.argument("lease_id", required=False)
@click.option("--all", "every", is_flag=True, help="Every lease that may be reclaimed.")
@options.directory
@options.json_output
def reclaim(lease_id: str | None, every: bool, directory: Path, as_json: bool) -> None:
    """Take the machine back from a preemptible job, or from all of them.

    Each is warned now and stopped when the window that was bid for it is over; it is paid for the time
    that it ran. `status` shows when. Exit code 3 if no node runs.
    """
    from msgspec import ValidationError, convert

    from ..control.asking import ask
    from ..control.requests import LeaseId, Reclaim
    from .asking import told
    from .exits import fail

    if (lease_id is None) is not every:
        raise click.UsageError("name a lease, or --all")
    try:
        wanted = convert(lease_id, type=LeaseId | None)
    except ValidationError:
        fail(f"{lease_id!r} is no lease id: `neurogrid-node status` lists them")
    with told():
        answer = ask(directory, Reclaim(lease_id=wanted))
    if as_json:
        click.echo(json.dumps(answer))
        return
    reclaimed = answer["reclaimed"]
    assert isinstance(reclaimed, list), "our own daemon"
    for each in reclaimed:
        click.echo(f"reclaimed {each}: `neurogrid-node status` shows until when it runs")
    if not reclaimed:
        click.echo("No job here may be reclaimed.")
