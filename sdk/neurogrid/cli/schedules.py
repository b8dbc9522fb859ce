"""``neurogrid schedule create | preview | list | show | enable | disable | run | runs | next | delete``."""

from pathlib import Path
from typing import Any

import click

from ..models.schedules import Schedule
from .output import print_fields, print_json, print_table, usdc, when
from .request_file import read_request
from .session import Session, with_session

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def schedule() -> None:
    """Run jobs and batches by cron."""


@schedule.command("create")
@click.argument("file", type=_FILE)
@click.option("--idempotency-key", help="The same key with the same file is the same schedule.")
@with_session
def create_schedule(session: Session, *, file: Path, idempotency_key: str | None) -> None:
    """Make the schedule of FILE (.toml or .json).

    \b
    name = "Daily report"
    schedule = "0 9 * * MON-FRI"
    time_zone = "Europe/Berlin"
    [task]
    docker_image = "my/report"
    max_price_per_hour = "1.00"

    The fields are those of POST /api/v1/scheduled-tasks. Prints the schedule's id.
    """
    made = session.client.schedules.create(**_fields(file), idempotency_key=idempotency_key)
    if session.as_json:
        print_json(made)
    else:
        click.echo(made.id)
        click.echo(f"It runs next: {when(made.next_run)}", err=True)


@schedule.command("preview")
@click.argument("file", type=_FILE)
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True)
@with_session
def preview_schedule(session: Session, *, file: Path, count: int) -> None:
    """Show what the schedule of FILE would do; nothing is stored."""
    found = session.client.schedules.preview(**_fields(file), count=count)
    if session.as_json:
        print_json(found)
        return
    tasks = "1 task" if found.tasks == 1 else f"{found.tasks} tasks"
    click.echo(f"{tasks} each time, for at most {usdc(found.most)}")
    for moment in found.next_runs:
        click.echo(when(moment))


@schedule.command("list")
@click.option("--active/--inactive", "is_active", default=None, help="Only these.")
@click.option("--name", help="A part of the name.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_schedules(
    session: Session, *, is_active: bool | None, name: str | None, limit: int, offset: int
) -> None:
    """List your schedules, newest first."""
    page = session.client.schedules.list(is_active=is_active, name=name, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("ID", "ACTIVE", "SCHEDULE", "TIME ZONE", "NEXT", "NAME"),
        (
            (
                item.id,
                "yes" if item.is_active else "no",
                item.schedule,
                item.time_zone,
                when(item.next_run),
                item.name,
            )
            for item in page.scheduled_tasks
        ),
    )
    if page.total > offset + len(page.scheduled_tasks):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@schedule.command("show")
@click.argument("schedule_id")
@with_session
def show_schedule(session: Session, *, schedule_id: str) -> None:
    """Show a schedule."""
    _show(session, session.client.schedules.get(schedule_id))


@schedule.command("enable")
@click.argument("schedule_id")
@with_session
def enable_schedule(session: Session, *, schedule_id: str) -> None:
    """Have a schedule run at its times."""
    _show(session, session.client.schedules.enable(schedule_id))


@schedule.command("disable")
@click.argument("schedule_id")
@with_session
def disable_schedule(session: Session, *, schedule_id: str) -> None:
    """Have a schedule not run; what it has started goes on."""
    _show(session, session.client.schedules.disable(schedule_id))


@schedule.command("run")
@click.argument("schedule_id")
@with_session
def run_schedule(session: Session, *, schedule_id: str) -> None:
    """Run a schedule once more, now."""
    made = session.client.schedules.run(schedule_id)
    if session.as_json:
        print_json(made)
    else:
        click.echo(made.id)


@schedule.command("runs")
@click.argument("schedule_id")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_runs(session: Session, *, schedule_id: str, limit: int, offset: int) -> None:
    """List what became of a schedule's times, the latest first."""
    page = session.client.schedules.runs(schedule_id, limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    print_table(
        ("DUE", "STATUS", "COST", "BATCH", "MESSAGE"),
        (
            (
                when(item.due_at),
                item.status,
                usdc(item.cost),
                item.batch_id or "",
                item.message or "",
            )
            for item in page.runs
        ),
    )


@schedule.command("next")
@click.argument("schedule_id")
@click.option("--count", type=click.IntRange(1, 100), default=5, show_default=True)
@with_session
def next_runs(session: Session, *, schedule_id: str, count: int) -> None:
    """Show when a schedule runs next."""
    found = session.client.schedules.next_runs(schedule_id, count)
    if session.as_json:
        print_json(found)
        return
    for moment in found:
        click.echo(when(moment))


@schedule.command("delete")
@click.argument("schedule_id")
@with_session
def delete_schedule(session: Session, *, schedule_id: str) -> None:
    """Delete a schedule; what it has started goes on."""
    ended = session.client.schedules.delete(schedule_id)
    if session.as_json:
        print_json(ended)
    else:
        click.echo(f"{ended.id} {ended.result}")


def _fields(file: Path) -> dict[str, Any]:
    fields = read_request(file)
    for name in ("name", "schedule"):
        if name not in fields:
            raise click.BadParameter(f"{file} has no field {name}", param_hint="FILE")
    return fields


def _show(session: Session, found: Schedule) -> None:
    if session.as_json:
        print_json(found)
        return
    print_fields(
        [
            ("id", found.id),
            ("name", found.name),
            ("schedule", f"{found.schedule} ({found.time_zone})"),
            ("active", "yes" if found.is_active else "no"),
            ("dry run", "yes" if found.dry_run else None),
            ("missed", found.missed),
            ("overlap", found.overlap),
            ("output", found.output_file),
            ("last run", when(found.last_run)),
            ("next run", when(found.next_run)),
            ("ends", when(found.ends_at)),
        ]
    )
