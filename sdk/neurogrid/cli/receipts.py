"""``neurogrid receipts``: the signed receipts of one's tasks, many at a time."""

from itertools import islice
from pathlib import Path

import click

from ..errors import NotSettledError
from ..models import Task
from .output import age, print_json, print_table, usdc
from .results import receipt
from .session import Session, with_session
from .verify import verify

# Of one call, so that a mistyped one does not fetch a year.
_RECEIPTS_MAX = 1000


@click.group()
def receipts() -> None:
    """List, download, read and verify the receipts of your tasks.

    A receipt shows what was agreed, done and paid, signed by both sides; docs/receipts.md says what each line is worth.
    """


receipts.add_command(receipt, "show")
receipts.add_command(verify)


@receipts.command("list")
@click.option("--limit", type=click.IntRange(1, _RECEIPTS_MAX), default=20, show_default=True)
@with_session
def list_receipts(session: Session, *, limit: int) -> None:
    """List tasks that have ended, newest first, and what they cost: each of them has a receipt once it is settled."""
    found = list(islice(_ended(session), limit))
    if session.as_json:
        print_json(found)
        return
    if not found:
        click.echo("No task has ended yet.", err=True)
        return
    print_table(
        ("TASK", "STATUS", "AGE", "COST", "NAME"),
        (
            (
                task.id,
                task.status,
                age(task.created_at),
                usdc(task.cost),
                task.name or task.docker_image,
            )
            for task in found
        ),
    )


@receipts.command("download")
@click.argument("task_ids", metavar="[TASK]...", nargs=-1)
@click.option(
    "-o",
    "--output",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("receipts"),
    show_default=True,
    help="The folder; what is there already is not fetched again.",
)
@click.option(
    "--newest",
    type=click.IntRange(1, _RECEIPTS_MAX),
    default=100,
    show_default=True,
    help="Without TASKs: of so many.",
)
@with_session
def download(session: Session, *, task_ids: tuple[str, ...], directory: Path, newest: int) -> None:
    """Fetch receipts into a folder, TASK.json each; without TASKs those of the newest that have ended."""
    wanted = task_ids or tuple(task.id for task in islice(_ended(session), newest))
    directory.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    unsettled: list[str] = []
    for task_id in wanted:
        # An id that is none would not be found; it must not name a file elsewhere either.
        path = directory / f"{Path(task_id).name}.json"
        if not path.exists():
            try:
                data = session.client.tasks.receipt(task_id)
            except NotSettledError:
                unsettled.append(task_id)
                continue
            part = path.with_suffix(".part")
            part.write_bytes(data)
            part.replace(path)
        written.append(str(path))
    if session.as_json:
        print_json({"written": written, "not_settled": unsettled})
        return
    for name in written:
        click.echo(name)
    for task_id in unsettled:
        click.echo(f"{task_id} is not settled yet, or was never given to a node.", err=True)


def _ended(session: Session) -> "filter[Task]":
    """Tasks that have ended, newest first."""
    ends = ("completed", "failed", "cancelled")
    return filter(lambda task: task.status in ends, session.client.tasks.iterate())
