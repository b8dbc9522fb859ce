"""``neurogrid list | status | logs | cancel``."""

import shlex
from datetime import datetime
from typing import Literal

import click

from ..models import ComparatorInfo, GangInfo, Task, TaskStatus, VerificationInfo
from .exit_codes import FAILED
from .following import watch
from .network import network_fields
from .output import age, print_fields, print_json, print_table, short, usdc, when
from .session import Session, with_session


@click.command("list")
@click.option(
    "--status",
    type=click.Choice(["pending", "running", "completed", "failed", "cancelled"]),
    help="Only these.",
)
@click.option(
    "--kind",
    type=click.Choice(["container", "operation", "model", "replica", "use"]),
    help="Only of this kind.",
)
@click.option("--model", help="Only those that ask this model.")
@click.option("--name", help="Only those in whose name this occurs.")
@click.option("--from", "after", type=click.DateTime(), metavar="TIME", help="In your time zone.")
@click.option("--to", "before", type=click.DateTime(), metavar="TIME", help="Likewise.")
@click.option("--oldest-first", is_flag=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_tasks(
    session: Session,
    *,
    status: TaskStatus | None,
    kind: Literal["container", "operation", "model", "replica", "use"] | None,
    model: str | None,
    name: str | None,
    after: datetime | None,
    before: datetime | None,
    oldest_first: bool,
    limit: int,
    offset: int,
) -> None:
    """List your tasks, newest first."""
    page = session.client.tasks.list(
        status=status,
        kind=kind,
        model=model,
        name=name,
        created_after=after.astimezone() if after else None,
        created_before=before.astimezone() if before else None,
        order="asc" if oldest_first else "desc",
        limit=limit,
        offset=offset,
    )
    if session.as_json:
        print_json(page)
        return
    if not page.tasks:
        if any((status, kind, model, name, after, before, offset)):
            click.echo("No such tasks.", err=True)
        else:
            click.echo("No tasks. `neurogrid submit` makes one.", err=True)
        return
    print_table(
        ("ID", "STATUS", "PHASE", "AGE", "COST", "NODE", "NAME"),
        (
            (
                task.id,
                task.status,
                task.phase,
                age(task.created_at),
                usdc(task.cost),
                short(task.node_id),
                task.name or task.docker_image,
            )
            for task in page.tasks
        ),
    )
    if page.total > offset + len(page.tasks):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@click.command()
@click.argument("task_id")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit 1 unless it completed.")
@with_session
def status(session: Session, *, task_id: str, wait: bool) -> None:
    """Show a task: where it is, what it costs, what happened to it."""
    task = watch(session, task_id, follow=False) if wait else session.client.tasks.get(task_id)
    if session.as_json:
        print_json(task)
    else:
        _print_task(task)
    if wait and task.status != "completed":
        raise click.exceptions.Exit(FAILED)


@click.command()
@click.argument("task_id")
@click.option("--follow", "-f", is_flag=True, help="Go on until the task has ended.")
@click.option(
    "--lines", "-n", type=click.IntRange(0, 10_000), default=100, show_default=True, help="So many."
)
@click.option("--all", "everything", is_flag=True, help="From the beginning.")
@click.option("--rank", type=click.IntRange(0), help="Of this member of a gang [default: 0].")
@with_session
def logs(
    session: Session,
    *,
    task_id: str,
    follow: bool,
    lines: int,
    everything: bool,
    rank: int | None,
) -> None:
    """Print what a task has printed."""
    tasks = session.client.tasks
    if rank is not None:
        task_id = _member(tasks.get(task_id), rank)
    if session.as_json:
        text = "".join(tasks.all_logs(task_id)) if everything else tasks.get_logs(task_id, lines)
        print_json({"task_id": task_id, "text": text})
        return
    if everything:
        for piece in tasks.all_logs(task_id):
            click.echo(piece, nl=False)
        lines = 0
    if follow:
        for piece in tasks.get_logs(task_id, lines, follow=True):
            click.echo(piece, nl=False)
    elif not everything:
        click.echo(tasks.get_logs(task_id, lines), nl=False)


@click.command()
@click.argument("task_ids", nargs=-1, required=True)
@with_session
def cancel(session: Session, *, task_ids: tuple[str, ...]) -> None:
    """Cancel tasks that wait or run; delete those that have ended.

    What a task ran until then is charged.
    """
    results = [session.client.tasks.cancel(task_id) for task_id in task_ids]
    if session.as_json:
        print_json(results)
        return
    for result in results:
        click.echo(f"{result.id} {result.result}")


def _member(task: Task, rank: int) -> str:
    """The id of a gang's member."""
    if task.gang is None:
        raise click.BadParameter(f"{task.id} is no gang", param_hint="--rank")
    members = {member.rank: member.id for member in task.gang.members}
    if rank not in members:
        raise click.BadParameter(
            f"a gang of {task.gang.size} has begun with {len(members)} members",
            param_hint="--rank",
        )
    return members[rank]


def _start_of(task: Task) -> str | None:
    """How long the present lease took to start, beside what its node had said."""
    if not task.leases or task.leases[-1].started_after_seconds is None:
        return None
    lease = task.leases[-1]
    return (
        f"after {lease.started_after_seconds:.1f} s; {lease.expected_start_seconds:.1f} s expected"
    )


def _priority(task: Task) -> str | None:
    if task.priority == "normal" and not task.priority_reason:
        return None
    return f"{task.priority} {task.priority_reason}".rstrip()


def _deadline(task: Task) -> str | None:
    if task.deadline is None:
        return None
    words = {True: " (met)", False: " (missed)", None: ""}
    return f"{when(task.deadline)}{words[task.deadline_met]}"


def _verification_fields(found: VerificationInfo) -> list[tuple[str, str | None]]:
    if found.mode == "none":
        return []
    runs = [f"{run.id} {run.verdict or run.phase}" for run in found.further_runs]
    return [
        ("verified by", found.mode),
        ("compared by", _comparator(found.comparator)),
        ("verdict", found.verdict),
        ("result of", found.result_of),
        ("further runs", ", ".join(runs)),
        ("cost in all", usdc(found.total_cost)),
    ]


def _comparator(found: ComparatorInfo) -> str:
    if found.kind == "image":
        return f"{found.image} {shlex.join(found.command)}".rstrip()
    if found.kind != "numeric":
        return found.kind
    files = " ".join(rule.pattern for rule in found.files or [])
    return f"numbers within {found.relative} of their size or {found.absolute}, in {files}"


def _service(task: Task) -> str | None:
    if task.service is None:
        return None
    state = "ready" if task.service.ready else "not ready"
    return f"port {task.service.port}" + (f", {state}" if task.status == "running" else "")


def _preemptible(task: Task) -> str | None:
    if not task.preemptible:
        return None
    if task.stops_at is not None:
        return f"its node takes the machine back: it is stopped at {when(task.stops_at)}"
    return f"yes; {task.preemptions} runs were reclaimed so far" if task.preemptions else "yes"


def _checkpoint(task: Task) -> str | None:
    """What is kept of its work."""
    if task.checkpoint is None:
        return None
    every = f"{task.checkpoint.path} every {task.checkpoint.interval_seconds} s"
    if not task.checkpoints:
        return f"{every}; none is kept yet"
    newest = task.checkpoints[-1]
    return f"{every}; {newest.sequence} kept at {when(newest.kept_at)}, {newest.size} bytes"


def _resumed(task: Task) -> str | None:
    """What its present or last run began from."""
    if not task.leases or task.leases[-1].resumed_from is None:
        return None
    return f"checkpoint {task.leases[-1].resumed_from}"


def _gang_fields(found: GangInfo | None) -> list[tuple[str, str | None]]:
    if found is None:
        return []
    members = [
        f"rank {member.rank}: {member.phase}, {usdc(member.cost)}, {short(member.node_id)}"
        for member in found.members
    ]
    return [
        ("gang", f"{found.size} nodes at once, apart by {found.apart}; attempt {found.attempt}"),
        *((("members" if number == 0 else ""), member) for number, member in enumerate(members)),
        ("cost in all", usdc(found.total_cost)),
    ]


def _print_task(task: Task) -> None:
    print_fields(
        [
            ("id", task.id),
            ("name", task.name),
            ("status", task.status),
            ("phase", task.phase if task.phase != task.status else None),
            ("image", task.docker_image),
            ("command", shlex.join(task.command)),
            ("priority", _priority(task)),
            ("deadline", _deadline(task)),
            ("apart from", "{group} by {by}".format(**task.spread) if task.spread else None),
            ("depends on", " ".join(task.depends_on)),
            ("workflow", task.workflow_id),
            ("preemptible", _preemptible(task)),
            ("checkpoint", _checkpoint(task)),
            ("resumed from", _resumed(task)),
            ("service", _service(task)),
            ("node", task.node_id),
            ("price", f"{usdc(task.price_per_hour)} per hour" if task.price_per_hour else None),
            ("cost", usdc(task.cost)),
            ("start", _start_of(task)),
            ("progress", f"{task.progress:g}% {task.progress_note}".rstrip()),
            ("created", when(task.created_at)),
            ("started", when(task.started_at)),
            ("ended", when(task.completed_at)),
            ("exit code", None if task.exit_code is None else str(task.exit_code)),
            ("waits for", task.explanation),
            ("error", f"{task.error.code}: {task.error.message}" if task.error else None),
            ("advice", task.error.advice if task.error else None),
            ("settled", "yes" if task.settled else None),
            *_verification_fields(task.verification),
            *_gang_fields(task.gang),
            *network_fields(task.network),
        ]
    )
    if task.timeline:
        click.echo()
        for entry in task.timeline:
            click.echo(f"  {when(entry.at)}  {entry.event}")
