"""``neurogrid workflow submit | status | list | cancel``."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..models import TaskOutput, Workflow
from .exit_codes import FAILED
from .output import age, print_fields, print_json, print_table, short, usdc, when
from .session import Session, with_session

if TYPE_CHECKING:
    from ..inputs import Inputs


@click.group()
def workflow() -> None:
    """Submit and watch jobs that depend on each other."""


@workflow.command("submit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--idempotency-key", help="The same key with the same file is the same workflow.")
@click.option("--wait", is_flag=True, help="Wait until all has ended; exit 1 unless it completed.")
@with_session
def submit_workflow(
    session: Session, *, file: Path, idempotency_key: str | None, wait: bool
) -> None:
    """Submit the tasks of FILE (.toml or .json): all are stored, or none.

    \b
    name = "Train and test"
    [tasks.train]
    docker_image = "my/train"
    max_price_per_hour = "2.00"
    inputs = [{path = "data.csv", file = "data.csv"}]
    [tasks.test]
    docker_image = "my/test"
    max_price_per_hour = "0.50"
    inputs = [{path = "model.bin", from_task = "train"}]

    A task has the fields of POST /api/v1/tasks, and files of this machine are named by `file`, from the
    folder of FILE on; with kind = "model" or "operation" it asks for one. Prints the workflow's id.
    """
    name, tasks = _read(file)
    made = session.client.workflows.submit(tasks, name=name, idempotency_key=idempotency_key)
    if wait:
        if not session.as_json:
            click.echo(f"workflow {made.id}", err=True)
        made = session.client.workflows.wait(made.id)
    if session.as_json:
        print_json(made)
    elif wait:
        _print_workflow(made)
    else:
        click.echo(made.id)
        click.echo(f"Follow it with:\n  neurogrid workflow status --wait {made.id}", err=True)
    if wait and made.status != "completed":
        raise click.exceptions.Exit(FAILED)


@workflow.command("status")
@click.argument("workflow_id")
@click.option("--wait", is_flag=True, help="Wait until all has ended; exit 1 unless it completed.")
@with_session
def workflow_status(session: Session, *, workflow_id: str, wait: bool) -> None:
    """Show a workflow and its tasks."""
    workflows = session.client.workflows
    found = workflows.wait(workflow_id) if wait else workflows.get(workflow_id)
    if session.as_json:
        print_json(found)
    else:
        _print_workflow(found)
    if wait and found.status != "completed":
        raise click.exceptions.Exit(FAILED)


@workflow.command("list")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0)
@with_session
def list_workflows(session: Session, *, limit: int, offset: int) -> None:
    """List your workflows, newest first."""
    page = session.client.workflows.list(limit=limit, offset=offset)
    if session.as_json:
        print_json(page)
        return
    if not page.workflows:
        click.echo("No workflows. `neurogrid workflow submit FILE` makes one.", err=True)
        return
    print_table(
        ("ID", "STATUS", "TASKS", "AGE", "COST", "NAME"),
        (
            (
                item.id,
                item.status,
                str(sum(item.counts.values())),
                age(item.created_at),
                usdc(item.cost),
                item.name,
            )
            for item in page.workflows
        ),
    )
    if page.total > offset + len(page.workflows):
        click.echo(f"{page.total} in all; --offset {offset + limit} shows more.", err=True)


@workflow.command("cancel")
@click.argument("workflow_ids", nargs=-1, required=True)
@with_session
def cancel_workflows(session: Session, *, workflow_ids: tuple[str, ...]) -> None:
    """Cancel what waits or runs of workflows; delete those that have ended.

    What their tasks ran until then is charged.
    """
    results = [session.client.workflows.cancel(workflow_id) for workflow_id in workflow_ids]
    if session.as_json:
        print_json(results)
        return
    for result in results:
        click.echo(f"{result.id} {result.result}")


def _print_workflow(found: Workflow) -> None:
    print_fields(
        [
            ("id", found.id),
            ("name", found.name),
            ("status", found.status),
            ("cost", usdc(found.cost)),
            ("created", when(found.created_at)),
            ("ended", when(found.completed_at)),
        ]
    )
    click.echo()
    names = {task.id: task.key for task in found.tasks}
    print_table(
        ("TASK", "STATUS", "PHASE", "COST", "NODE", "AFTER", "ID"),
        (
            (
                task.key,
                task.status,
                task.phase,
                usdc(task.cost),
                short(task.node_id),
                " ".join(names.get(needed, needed) for needed in task.depends_on),
                task.id,
            )
            for task in found.tasks
        ),
    )
    for task in found.tasks:
        if task.error is not None:
            click.secho(f"{task.key}: {task.error.code}: {task.error.message}", fg="red", err=True)


def _read(file: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """The workflow's name and its tasks as `Workflows.submit` takes them."""
    text = file.read_text("utf-8")
    try:
        document = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise click.BadParameter(f"{file}: {error}", param_hint="FILE") from error
    tasks = document.get("tasks") if isinstance(document, dict) else None
    if not isinstance(tasks, dict) or not all(isinstance(task, dict) for task in tasks.values()):
        raise click.BadParameter(f"{file} has no table `tasks` of tables", param_hint="FILE")
    unknown = sorted(document.keys() - {"name", "tasks"})
    if unknown:
        raise click.BadParameter(f"{file}: {unknown[0]} is not a field", param_hint="FILE")
    return str(document.get("name", "")), {
        key: task
        if task.get("kind", "container") != "container"
        else {**task, "inputs": _inputs(task.get("inputs", []), f"tasks.{key}", file.parent)}
        for key, task in tasks.items()
    }


def _inputs(references: Any, place: str, folder: Path) -> "Inputs":
    """Path below /inputs -> its source."""
    if not isinstance(references, list):
        raise click.BadParameter(f"{place}.inputs is no list", param_hint="FILE")
    inputs: dict[str, str | Path | TaskOutput] = {}
    for index, reference in enumerate(references):
        path, source = _input(reference, f"{place}.inputs[{index}]", folder)
        if path in inputs:
            raise click.BadParameter(f"{place} has two inputs {path!r}", param_hint="FILE")
        inputs[path] = source
    return inputs


def _input(reference: Any, place: str, folder: Path) -> tuple[str, str | Path | TaskOutput]:
    if not isinstance(reference, Mapping) or not isinstance(reference.get("path"), str):
        raise click.BadParameter(f"{place} has no path", param_hint="FILE")
    path = reference["path"]
    match {name: value for name, value in reference.items() if name != "path"}:
        case {"file": str(name), **rest} if not rest:
            local = folder / name
            if not local.is_file():
                raise click.BadParameter(f"{place}: {local} is no file", param_hint="FILE")
            return path, local
        case {"url": str(url), **rest} if not rest.keys() - {"sha256"}:
            return path, f"{url}#sha256={rest['sha256']}" if rest else url
        case {"sha256": str(digest), **rest} if not rest:
            return path, digest
        case {"from_task": str(task), **rest} if not rest.keys() - {"output"}:
            return path, TaskOutput(task, str(rest.get("output", path)))
    raise click.BadParameter(
        f"{place} needs one of file, url, sha256 and from_task", param_hint="FILE"
    )
