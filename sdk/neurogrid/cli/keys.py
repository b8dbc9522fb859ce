"""``neurogrid keys``: the keys to sealed inputs, which have to be there when a node is."""

import click

from .exit_codes import FAILED
from .following import watch
from .output import print_json
from .session import Session, with_session


@click.group()
def keys() -> None:
    """Hand out the keys of sealed tasks.

    A task that was submitted with --sealed waits, once it has a node, for its key; it is kept on the
    machine that submitted it (~/.local/state/neurogrid/sealed-keys) until the task is known to have ended.
    """


@keys.command("list")
@with_session
def list_keys(session: Session) -> None:
    """List the tasks whose keys are on this machine."""
    found = session.client.keys.tasks()
    if session.as_json:
        print_json(found)
    else:
        for task_id in found:
            click.echo(task_id)


@keys.command()
@click.argument("task_id")
@with_session
def serve(session: Session, *, task_id: str) -> None:
    """Send a task's key to each node that gets it, until it has ended.

    Checks first that the node itself has signed for this very job; exit 1 if it has not, or if the
    task does not complete.
    """
    if task_id not in session.client.keys.tasks():
        raise click.ClickException(
            f"the key of {task_id} is not on this machine: it is where the task was submitted"
        )
    task = watch(session, task_id, follow=False)
    if session.as_json:
        print_json(task)
    if task.status != "completed":
        raise click.exceptions.Exit(FAILED)
