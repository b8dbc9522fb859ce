"""``neurogrid batch submit | status | list | tasks | results | start | cancel | retry | delete``."""

import sys
from pathlib import Path
from typing import Any, Literal

import click

from ..models.batches import Batch
from .exit_codes import FAILED
from .output import age, print_fields, print_json, print_table, short, usdc, when
from .request_file import read_request
from .session import Session, with_session

_BAR_CHARS = 30


@click.group()
def batch() -> None:
    """Send many jobs together, a few of them at a time in the market."""


@batch.command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--csv",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its rows are the tasks, in place of `tasks` in FILE.",
)
@click.option("--id", "client_id", help="Your own id for it.")
@click.option("--name", help="In place of the one in FILE.")
@click.option("--max-concurrency", type=click.IntRange(1), help="So many tasks at a time.")
@click.option("--retries", type=click.IntRange(0), help="Try a task again so often.")
@click.option("--max-cost", help="USDC, of all together.")
@click.option("--hold", is_flag=True, help="Do not start it; `batch start` does.")
@click.option("--idempotency-key", help="The same key with the same request is the same batch.")
@click.option("--wait", is_flag=True, help="Wait until all has ended; exit 1 unless it completed.")
@with_session
def submit_batch(
    session: Session,
    *,
    file: Path,
    csv: Path | None,
    client_id: str | None,
    hold: bool,
    idempotency_key: str | None,
    wait: bool,
    **options: Any,
) -> None:
    """Send the batch of FILE (.toml or .json): all of its tasks are stored, or none.

    \b
    name = "Thumbnails"
    max_concurrency = 5
    [defaults]
    docker_image = "my/job"
    max_price_per_hour = "1.00"
    [[tasks]]
    id = "a"
    env = {WORD = "one"}

    The fields are those of POST /api/v1/batches. Prints the batch's id.
    """
    fields = read_request(file)
    fields |= {name: value for name, value in options.items() if value is not None}
    if client_id is not None:
        fields["id"] = client_id
    if hold:
        fields["execute"] = False
    made = session.client.batches.create(csv=csv, idempotency_key=idempotency_key, **fields)
    if wait:
        _wait(session, made.id)
    elif session.as_json:
        print_json(made)
    else:
        click.echo(made.id)
        click.echo(f"Follow it with:\n  neurogrid batch status --wait {made.id}", err=True)


@batch.command("status")
@click.argument("batch_id")
@click.option("--wait", is_flag=True, help="Wait until all has ended; exit 1 unless it completed.")
@with_session
def batch_status(session: Session, *, batch_id: str, wait: bool) -> None:
    """Show a batch, and how far it is."""
    if wait:
        _wait(session, batch_id)
    else:
        _show(session, session.client.batches.get(batch_id))


@batch.command("list")
@click.option("--status", help="Only these.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_batches(session: Session, *, status: str | None, limit: int, offset: int) -> None:
    """List your batches, newest first."""
    page = session.client.batches.list(status=status, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "STATUS", "DONE", "AGE", "COST", "NAME"),
        (
            (
                item.client_id or item.id,
                item.status,
                f"{item.progress.ended}/{item.progress.total}",
                age(item.created_at),
                usdc(item.cost),
                item.name,
            )
            for item in page.batches
        ),
    )
    if page.total > offset + len(page.batches):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@batch.command("tasks")
@click.argument("batch_id")
@click.option("--status", help="Only these.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def batch_tasks(
    session: Session, *, batch_id: str, status: str | None, limit: int, offset: int
) -> None:
    """List a batch's tasks, in its order."""
    page = session.client.batches.tasks(batch_id, status=status, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "STATUS", "TRIES", "COST", "NODE", "TASK", "ERROR"),
        (
            (
                item.id,
                item.status,
                str(item.attempts),
                usdc(item.cost),
                short(item.node_id or ""),
                item.task_id or "",
                item.error.code if item.error is not None else "",
            )
            for item in page.tasks
        ),
    )
    if page.total > offset + len(page.tasks):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@batch.command("results")
@click.argument("batch_id")
@click.option("--format", type=click.Choice(["csv", "jsonl"]), default="csv", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="In place of printing."
)
@with_session
def batch_results(
    session: Session, *, batch_id: str, format: Literal["csv", "jsonl"], output: Path | None
) -> None:
    """Print what became of each task, a line each."""
    found = session.client.batches.results(batch_id, format=format)
    if output is None:
        click.echo(found, nl=False)
    else:
        output.write_bytes(found)


@batch.command("start")
@click.argument("batch_id")
@with_session
def start_batch(session: Session, *, batch_id: str) -> None:
    """Start a batch that was submitted with --hold."""
    _show(session, session.client.batches.execute(batch_id))


@batch.command("cancel")
@click.argument("batch_id")
@with_session
def cancel_batch(session: Session, *, batch_id: str) -> None:
    """Let nothing more of a batch begin, and stop what runs; that is charged."""
    _show(session, session.client.batches.cancel(batch_id))


@batch.command("retry")
@click.argument("batch_id")
@click.option("--cancelled", is_flag=True, help="What was cancelled, too.")
@click.option("--max-cost", help="USDC: another budget, for all of the batch.")
@with_session
def retry_batch(session: Session, *, batch_id: str, cancelled: bool, max_cost: str | None) -> None:
    """Try again what failed of a batch that has ended."""
    found = session.client.batches.retry(batch_id, cancelled=cancelled, max_cost=max_cost)
    _show(session, found)


@batch.command("delete")
@click.argument("batch_id")
@with_session
def delete_batch(session: Session, *, batch_id: str) -> None:
    """Cancel a batch that runs; delete one that has ended, with its tasks."""
    ended = session.client.batches.delete(batch_id)
    if session.as_json:
        print_json(ended)
    else:
        click.echo(f"{ended.id} {ended.result}")


def _wait(session: Session, batch_id: str) -> None:
    drawn = sys.stderr.isatty() and not session.as_json
    found = session.client.batches.wait(batch_id, seen=_draw if drawn else lambda batch: None)
    if drawn:
        click.echo(err=True)
    _show(session, found)
    if found.status != "completed":
        raise click.exceptions.Exit(FAILED)


def _draw(found: Batch) -> None:
    """One line that is drawn over itself."""
    progress = found.progress
    full = _BAR_CHARS * progress.ended // progress.total
    bar = "#" * full + "-" * (_BAR_CHARS - full)
    words = f"[{bar}] {progress.ended}/{progress.total}, {progress.running} run, {progress.failed} failed"
    click.echo(f"\r{words}  {usdc(found.cost)}   ", nl=False, err=True)


def _show(session: Session, found: Batch) -> None:
    if session.as_json:
        print_json(found)
        return
    progress = found.progress
    counts = ("completed", "failed", "cancelled", "running", "pending")
    print_fields(
        [
            ("id", found.id),
            ("your id", found.client_id),
            ("name", found.name),
            ("status", found.status),
            ("tasks", str(progress.total)),
            *((name, str(getattr(progress, name) or "")) for name in counts),
            ("cost", usdc(found.cost)),
            ("budget", usdc(found.max_cost) if found.max_cost is not None else None),
            ("waits for", found.waits_for),
            ("created", when(found.created_at)),
            ("ended", when(found.completed_at)),
        ]
    )
