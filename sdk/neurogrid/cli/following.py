"""Stay with a task: its progress, its log, and its key where it waits for one."""

import threading
from typing import TYPE_CHECKING

import click

from ..errors import NeuroGridError
from ..models import Task
from .exit_codes import INTERRUPTED
from .output import Progress, short
from .session import Session

if TYPE_CHECKING:
    from ..client import Client

# How long the rest of a log may take to arrive after its task has ended.
_LOG_PATIENCE_S = 30.0


def watch(session: Session, task_id: str, *, follow: bool) -> Task:
    """Show a task's progress (and its log) until it has ended; the task then."""
    client = session.client
    progress = Progress(quiet=session.as_json)
    reader = _LogReader(client, task_id, progress) if follow and not session.as_json else None
    try:
        if reader is not None:
            reader.start()
        for update in client.tasks.stream(task_id):
            progress.show(update)
        if reader is not None:
            reader.join(_LOG_PATIENCE_S)
    except KeyboardInterrupt:
        progress.clear()
        own = session.own is not None
        advice = (
            "type the same again to follow it" if own else f"`neurogrid cancel {task_id}` ends it"
        )
        click.echo(f"\n{task_id} goes on; {advice}.", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    progress.clear()
    return client.tasks.get(task_id)


class _LogReader(threading.Thread):
    """Prints the log while the main thread follows the task. A daemon: Ctrl-C ends both."""

    def __init__(self, client: "Client", task_id: str, progress: Progress) -> None:
        super().__init__(name="log", daemon=True)
        self._client = client
        self._task_id = task_id
        self._progress = progress

    def run(self) -> None:
        """Print until the log is complete."""
        try:
            for piece in self._client.tasks.get_logs(self._task_id, follow=True):
                self._progress.clear()
                click.echo(piece, nl=False)
        except NeuroGridError as error:
            # The task is still followed; its log can be read again.
            click.echo(f"the log stopped: {error}", err=True)


def send_key(session: Session, task_id: str) -> None:
    """Wait until a sealed task has a node, and has got its key (or has ended)."""
    again = f"another node would need it again: `neurogrid keys serve {task_id}` stays for that"
    try:
        for update in session.client.tasks.stream(task_id):
            if update.type == "task.needs_key":
                words = f"the key was sent to {short(update.node_id)}; {again}"
                click.echo(words, err=True)
                return
    except KeyboardInterrupt:
        words = f"\n{task_id} goes on without its key: `neurogrid keys serve {task_id}`"
        click.echo(words, err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
