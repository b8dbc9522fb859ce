"""`neurogrid-node doctor`: what keeps this machine from taking jobs."""

import difflib
import json
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    import trio

    from ..doctor.findings import Finding
    from ..doctor.subject import Subject

_EXIT_FAILED = 1
_EXIT_TERMINATED = 128 + signal.SIGTERM


@click.command(
    epilog="""\b
Exit codes:
  0  nothing keeps jobs from running here; there may be warnings
  1  something does: the lines that begin with `fail`
  2  wrong usage
"""
)
@options.directory
@click.option(
    "--only",
    multiple=True,
    metavar="CODE",
    help="Look only for this code (docs/doctor.md lists them); may be repeated.",
)
@options.json_output
def doctor(directory: Path, only: tuple[str, ...], as_json: bool) -> None:
    """Look at this machine, its engine, network and stake, and say what to mend.

    Works beside a running node, and touches no job. Each check has a time limit.
    """
    import trio

    from ..doctor.findings import CODES, Severity, worst
    from ..doctor.subject import read_subject

    for code in only:
        if code not in CODES:
            near = difflib.get_close_matches(code.upper(), CODES, 1)
            raise click.UsageError(
                f"no code {code}"
                + (f"; do you mean {near[0]}?" if near else ": see docs/doctor.md")
            )
    subject = read_subject(directory)
    found = trio.run(_examined, subject, only)
    if found is None:
        sys.exit(_EXIT_TERMINATED)
    is_failed = worst(found) is Severity.FAIL
    if as_json:
        document = {
            "ok": not is_failed,
            "running": subject.status is not None,
            "findings": [finding.to_json() for finding in found],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        _print(found)
    if is_failed:
        sys.exit(_EXIT_FAILED)


async def _examined(subject: "Subject", only: Collection[str]) -> "list[Finding] | None":
    """What is found; None after SIGTERM, which as Ctrl-C has what is being tried removed first."""
    import trio

    from ..doctor.examination import examine
    from ..files.scratch import remove_forsaken

    found = None

    async def end_when_told(task_status: "trio.TaskStatus[None]") -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            task_status.started()
            async for _ in signals:
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(end_when_told)
        await trio.to_thread.run_sync(remove_forsaken, subject.directory)
        found = await examine(subject, only)
        nursery.cancel_scope.cancel()
    return found


def _print(found: "list[Finding]") -> None:
    from ..doctor.findings import Severity

    for finding in found:
        click.echo(f"{finding.severity.value:<5} {finding.code:<23} {finding.saw}")
        if finding.fix and finding.severity is not Severity.OK:
            click.echo(f"{'':<29} fix: {finding.fix}")
    fails = sum(finding.severity is Severity.FAIL for finding in found)
    warnings = sum(finding.severity is Severity.WARN for finding in found)
    if fails or warnings:
        click.echo(f"\n{fails} to mend, {warnings} warnings")
    elif found:
        click.echo("\nnothing to mend")
    else:
        click.echo("none of these was found")
