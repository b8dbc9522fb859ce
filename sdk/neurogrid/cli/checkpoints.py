"""``neurogrid checkpoints``, and the options of submit that are about them."""

import re
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from .durations import Duration
from .output import print_json, print_table, short, when
from .session import Session, with_session

_RESUME = re.compile(r"(task_[0-9a-f]{32})(?::([0-9]{1,9}))?")
_NAMES = ("checkpoint", "checkpoint_path", "checkpoint_keep", "resume_from")
_OPTIONS = (
    click.option(
        "--checkpoint",
        type=Duration(),
        metavar="INTERVAL",
        help="Keep what the job writes below /checkpoint, every so often (10s to 1d); another node goes "
        "on from there.",
    ),
    click.option(
        "--checkpoint-path", metavar="PATH", help="Its folder in the container [/checkpoint]."
    ),
    click.option(
        "--checkpoint-keep", type=click.IntRange(1, 8), help="How many, the newest [default: 1]."
    ),
    click.option(
        "--resume-from",
        metavar="TASK[:SEQUENCE]",
        help="Begin from a checkpoint of another task, its newest if not said.",
    ),
)


def checkpoint_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options; the command gets ``checkpoints``: arguments of `Tasks.create`."""

    def run(*args: Any, **kwargs: Any) -> None:
        said = {name: kwargs.pop(name) for name in _NAMES}
        function(*args, checkpoints=_arguments(**said), **kwargs)

    command = update_wrapper(run, function)
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _arguments(
    *,
    checkpoint: int | None,
    checkpoint_path: str | None,
    checkpoint_keep: int | None,
    resume_from: str | None,
) -> dict[str, Any]:
    plan = {
        "interval_seconds": checkpoint,
        "path": checkpoint_path,
        "keep": checkpoint_keep,
    }
    said = {name: value for name, value in plan.items() if value is not None}
    if said and checkpoint is None and resume_from is None:
        raise click.BadParameter("goes with --checkpoint only", param_hint="--checkpoint-path")
    found: dict[str, Any] = {"checkpoint": said} if said else {}
    if resume_from is not None:
        match = _RESUME.fullmatch(resume_from)
        if match is None:
            raise click.BadParameter(
                f"{resume_from!r} is not TASK[:SEQUENCE]", param_hint="--resume-from"
            )
        number = {"sequence": int(match[2])} if match[2] else {}
        found["resume_from"] = {"task": match[1], **number}
    return found


@click.command()
@click.argument("task_id")
@click.option(
    "--fetch",
    type=click.Path(file_okay=False, path_type=Path),
    help="Fetch the files of one into this folder.",
)
@click.option(
    "--sequence", type=click.IntRange(1), help="With --fetch: which one [default: the newest]."
)
@with_session
def checkpoints(
    session: Session, *, task_id: str, fetch: Path | None, sequence: int | None
) -> None:
    """List or download what is kept of a task's work while it runs.

    Every file is checked against its hash. `neurogrid submit --resume-from TASK` begins another task
    from one.
    """
    tasks = session.client.tasks
    if fetch is not None:
        written = tasks.download_checkpoint(task_id, fetch, sequence=sequence)
        if session.as_json:
            print_json([str(path) for path in written])
        else:
            for path in written:
                click.echo(path)
        return
    if sequence is not None:
        raise click.BadParameter("goes with --fetch only", param_hint="--sequence")
    kept = tasks.checkpoints(task_id)
    if session.as_json:
        print_json(kept)
    elif kept:
        print_table(
            ("SEQUENCE", "KEPT", "FILES", "BYTES", "LEASE"),
            (
                (
                    str(each.sequence),
                    when(each.kept_at),
                    str(each.files),
                    str(each.size),
                    short(each.lease_id) if each.lease_id else "given",
                )
                for each in kept
            ),
        )
    else:
        click.echo("No checkpoints: none was asked for, or none has been kept yet.", err=True)
