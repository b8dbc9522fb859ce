"""`neurogrid-node pause`, `resume`, `drain`, `stop`: what the running node does next."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from neurogrid_contracts.cli.values import Duration

from ..money.readable import counted
from . import options
from .exits import NOT_YET, fail
from .standing import standing

# From the end of the last job to the end of the process.
_END_LIMIT_S = 30


@click.command()
@click.option(
    "--for", "for_s", type=Duration(), metavar="2h", help="End by itself after this time."
)
@options.directory
@options.json_output
def pause(for_s: int | None, directory: Path, as_json: bool) -> None:
    """Take no new work; running jobs go on. A restart changes nothing. Exit code 3 if no node runs."""
    from ..control.asking import ask
    from ..control.requests import Pause
    from ..market.intake import PAUSE_MAX_S
    from .asking import told

    if for_s is not None and not 1 <= for_s <= PAUSE_MAX_S:
        fail("pause for 1s to 366d, or without --for until `neurogrid-node resume`")
    with told():
        answer = ask(directory, Pause(for_s=for_s))
    _show(answer, as_json)


@click.command()
@options.directory
@options.json_output
def resume(directory: Path, as_json: bool) -> None:
    """Take new work again, after `pause` or `drain`. Exit code 3 if no node runs."""
    from ..control.asking import ask
    from ..control.requests import Resume
    from .asking import told

    with told():
        answer = ask(directory, Resume())
    _show(answer, as_json)


@click.command()
@click.option("--wait", "waits", is_flag=True, help="Return when no job is left.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    metavar="2h",
    help="How long --wait waits; else for ever.",
)
@click.option("--exit", "exits", is_flag=True, help="The node ends when no job is left.")
@options.directory
@options.json_output
def drain(waits: bool, timeout_s: int | None, exits: bool, directory: Path, as_json: bool) -> None:
    """Finish the running jobs, be paid for them, and take no new ones.

    The node then stays without work until `resume`; with --exit it ends, and works when it is started
    again. Killed before that, it goes on draining. Exit code 3 if no node runs, 4 if --timeout is over
    and jobs still run: they go on.
    """
    from ..control.asking import ask, ask_to_end
    from ..control.requests import Drain
    from .asking import told

    if timeout_s is not None and not waits:
        raise click.UsageError("--timeout is how long --wait waits")
    request = Drain(exits=exits, waits=waits)
    with told():
        if not waits:
            answer = ask(directory, request)
        elif not exits:
            answer = ask(directory, request, limit_s=timeout_s)
        else:
            ended = ask_to_end(directory, request, limit_s=timeout_s, end_limit_s=_END_LIMIT_S)
            _show_end(ended, as_json)
            return
    _show(answer, as_json)


@click.command()
@click.option(
    "--timeout",
    "timeout_s",
    type=Duration(),
    default="30s",
    show_default=True,
    help="How long its end is waited for.",
)
@options.directory
@options.json_output
def stop(timeout_s: int, directory: Path, as_json: bool) -> None:
    """End the node; its jobs run on, and the next start finds them.

    It says goodbye to its coordinators, as it does on SIGTERM. A job whose node stays away for longer
    than its coordinator waits (45 s unless it says otherwise) is run elsewhere: `drain --exit` finishes
    jobs first. Exit code 3 if no node runs, 4 if it has not ended in time.
    """
    from ..control.asking import ask_to_end
    from ..control.requests import Stop
    from .asking import told

    with told():
        ended = ask_to_end(directory, Stop(), limit_s=timeout_s, end_limit_s=timeout_s)
    _show_end(ended, as_json)


def _show(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(standing(answer["word"], answer["no_new_work"], answer["leases"]))


def _show_end(answer: dict[str, Any] | None, as_json: bool) -> None:
    if answer is None:
        click.echo("neurogrid-node: the node is ending, and has not ended yet", err=True)
        sys.exit(NOT_YET)
    if as_json:
        click.echo(json.dumps(answer | {"ended": True}))
        return
    left = f"; {counted(answer['leases'], 'job')} running on" if answer["leases"] else ""
    click.echo(f"The node has ended{left}.")


COMMANDS = (pause, resume, drain, stop)
