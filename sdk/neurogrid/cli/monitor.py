"""``neurogrid task monitor``: a task until its end, and then what it left."""

import click
import msgspec

from ..errors import NeuroGridError
from .exit_codes import FAILED
from .following import watch
from .output import print_fields, print_json, print_table, short, usdc
from .session import Session, with_session

_ANSWER = "result.json"
# A model's answer is read into the memory to be shown.
_ANSWER_BYTES_MAX = 4 * 1024 * 1024


@click.command("monitor")
@click.argument("task_id", required=False)
@click.option("--id", "named_id", help="The same as TASK_ID.")
@with_session
def monitor(session: Session, *, task_id: str | None, named_id: str | None) -> None:
    """Watch a task until it has ended: its progress, its log, what it cost, and what it left.

    A line moves on a terminal; elsewhere each phase has one. Ctrl-C leaves the task running. Exits with 1 unless it has
    completed.
    """
    if (task_id is None) == (named_id is None):
        raise click.UsageError("Name one task: neurogrid task monitor TASK_ID")
    monitored(session, task_id or named_id or "")


def monitored(session: Session, task_id: str) -> None:
    """Stay with a task to its end, and show what came of it."""
    # Who mistypes an id hears of it before anything is drawn.
    session.client.tasks.get(task_id)
    task = watch(session, task_id, follow=True)
    if session.as_json:
        print_json(task)
    else:
        found = session.client.tasks.outputs(task_id) if task.status == "completed" else []
        answer = next((each for each in found if each.path == _ANSWER), None)
        text = _text(session, task_id) if answer and answer.size <= _ANSWER_BYTES_MAX else ""
        if text:
            click.echo(text)
        print_fields(
            [
                ("task", task.id),
                ("status", task.status),
                ("node", short(task.node_id)),
                ("cost", usdc(task.cost)),
                ("error", f"{task.error.code}: {task.error.message}" if task.error else None),
                ("advice", task.error.advice if task.error else None),
            ],
            err=True,
        )
        if found and not text:
            print_table(("OUTPUT", "BYTES"), ((each.path, str(each.size)) for each in found))
            click.echo(f"neurogrid outputs {task_id} -o FOLDER fetches them.", err=True)
    if task.status != "completed":
        raise click.exceptions.Exit(FAILED)


def _text(session: Session, task_id: str) -> str:
    """What a model has written; "" of anything else."""
    try:
        document = msgspec.json.decode(session.client.tasks.read_output(task_id, _ANSWER))
    except (msgspec.DecodeError, NeuroGridError):
        return ""
    text = document.get("text") if isinstance(document, dict) else None
    return text if isinstance(text, str) else ""
