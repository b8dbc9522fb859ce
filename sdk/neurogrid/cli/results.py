"""``neurogrid outputs | receipt``: what a task left, and the proof of what was paid for."""

import time
from pathlib import Path

import click

from ..errors import NotSettledError
from .output import print_json, print_table
from .session import Session, with_session

_POLL_S = 0.5


@click.command()
@click.argument("task_id")
@click.option(
    "--download",
    "-o",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Fetch them into this folder.",
)
@click.option("--path", "paths", multiple=True, help="Only this one. Repeatable.")
@with_session
def outputs(
    session: Session, *, task_id: str, directory: Path | None, paths: tuple[str, ...]
) -> None:
    """List or download the files that a task left under /outputs.

    Every file is checked against its hash.
    """
    tasks = session.client.tasks
    if directory is not None:
        written = tasks.download(task_id, directory, paths=paths or None)
        if session.as_json:
            print_json([str(path) for path in written])
        else:
            for path in written:
                click.echo(path)
        return
    found = [item for item in tasks.outputs(task_id) if not paths or item.path in paths]
    if session.as_json:
        print_json(found)
    elif found:
        print_table(
            ("PATH", "BYTES", "SHA-256"),
            ((item.path, str(item.size), item.sha256) for item in found),
        )
    else:
        click.echo("No output files: the task has not completed, or left none.", err=True)


@click.command()
@click.argument("task_id")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file instead of standard output.",
)
@click.option(
    "--wait", "wait_s", type=click.IntRange(0), metavar="SECONDS", default=0, help="For settlement."
)
@click.option("--lease", "lease_id", help="Of an earlier attempt; `neurogrid status` lists them.")
@with_session
def receipt(
    session: Session, *, task_id: str, output: Path | None, wait_s: int, lease_id: str | None
) -> None:
    """Fetch a task's signed receipt, byte for byte.

    It is complete a few seconds after the task has ended. `neurogrid verify` checks it.
    """
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            data = session.client.tasks.receipt(task_id, lease_id=lease_id)
            break
        except NotSettledError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(_POLL_S)
    if output is None:
        click.echo(data, nl=False)
    else:
        output.write_bytes(data)
        click.echo(f"{output}: check it with `neurogrid verify {output}`", err=True)
