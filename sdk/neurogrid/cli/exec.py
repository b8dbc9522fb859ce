"""``neurogrid exec | shell``: commands beside a running job."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import NoReturn

import click

from ..commands import Command
from ..errors import CommandLost
from .exit_codes import FAILED, INTERRUPTED
from .output import print_json
from .session import Session, with_session
from .terminal import Keyboard, handling, raw_mode

# A shell that a person likes, where the image has it; else the one that it surely has, if any.
_SHELL = ("/bin/sh", "-c", "command -v bash >/dev/null && exec bash || exec sh")


@click.command("exec")
@click.argument("task_id")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--tty", "-t", is_flag=True, help="Give it a terminal: yours.")
@click.option("--no-input", "-n", is_flag=True, help="Do not read standard input.")
@with_session
def exec_(
    session: Session, *, task_id: str, command: tuple[str, ...], tty: bool, no_input: bool
) -> None:
    """Run COMMAND beside a task's running job, in its container.

    \b
    neurogrid exec task_... -- nvidia-smi
    neurogrid exec task_... -- sh -c 'cat > /tmp/new.yaml' < new.yaml

    Only into tasks that were submitted with --interactive. Its output, errors and exit code are the
    command's; Ctrl-C reaches it, and typed twice ends it.
    """
    if session.as_json:
        if tty:
            raise click.UsageError("--json collects output; a terminal shows it")
        given = b"" if no_input or sys.stdin.isatty() else sys.stdin.buffer.read()
        result = session.client.tasks.exec(task_id, command, input=given)
        print_json(
            {
                "exit_code": result.exit_code,
                "reason": result.reason,
                "stdout": result.stdout.decode(errors="replace"),
                "stderr": result.stderr.decode(errors="replace"),
            }
        )
        _exit(result.exit_code)
    if tty:
        _require_terminal()
    _run(session, task_id, command, tty=tty, no_input=no_input)


@click.command()
@click.argument("task_id")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@with_session
def shell(session: Session, *, task_id: str, command: tuple[str, ...]) -> None:
    """Open a shell beside a task's running job, in its container.

    Only into tasks that were submitted with --interactive. COMMAND, after --, runs in place of a shell.
    At the begin of a line, ~. leaves (the shell is ended), and ~~ types a ~.
    """
    if session.as_json:
        raise click.UsageError("a shell is for people; `neurogrid exec --json` is for programs")
    _require_terminal()
    _run(session, task_id, command or _SHELL, tty=True, no_input=False)


def _require_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this needs a terminal; without one, use `neurogrid exec`")


def _run(
    session: Session, task_id: str, command: tuple[str, ...], *, tty: bool, no_input: bool
) -> NoReturn:
    """Run a command with our own input and output; exits as it does."""
    columns, rows = shutil.get_terminal_size()
    running = session.client.tasks.open_exec(
        task_id,
        command,
        tty=tty,
        columns=columns,
        rows=rows,
        term=os.environ.get("TERM", "") if tty else "",
    )
    keyboard = Keyboard(running, None if no_input else sys.stdin.fileno(), tty=tty)
    handlers: dict[signal.Signals, Callable[[], None]] = {signal.SIGINT: keyboard.interrupted}
    if tty:
        handlers[signal.SIGWINCH] = keyboard.resized
        # What would end us without putting the terminal back.
        for told in (signal.SIGTERM, signal.SIGHUP):
            handlers[told] = partial(keyboard.end, told)
    with ExitStack() as closing:
        closing.enter_context(handling(handlers))
        if tty:
            closing.enter_context(raw_mode(sys.stdin.fileno()))
        closing.callback(keyboard.stop)
        closing.callback(running.close)
        keyboard.start()
        try:
            _show(running)
        except CommandLost:
            if not keyboard.left:
                raise
    if keyboard.told is not None:
        raise click.exceptions.Exit(128 + keyboard.told)
    if keyboard.left:
        click.echo("left; the command was ended", err=True)
        raise click.exceptions.Exit(INTERRUPTED)
    if running.reason == "idle":
        click.echo(
            "ended: nothing went either way for as long as the node's owner allows", err=True
        )
    _exit(-1 if running.exit_code is None else running.exit_code)


def _show(running: Command) -> None:
    outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    for piece in running:
        output = outputs[piece.stream]
        output.write(piece.data)
        output.flush()


def _exit(code: int) -> NoReturn:
    raise click.exceptions.Exit(FAILED if code < 0 else code)
