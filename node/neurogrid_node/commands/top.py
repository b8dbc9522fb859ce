"""`neurogrid-node top`: the running node, live in a terminal."""

import json
import sys
from pathlib import Path

import click

from ..machine.clock import now_ms as read_clock
from . import options
from .exits import fail

# Of a picture, and where nobody says how wide it may be.
_WIDTH = 110


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and end; needs no terminal.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="With --once: into this file."
)
@click.option(
    "--interval", type=click.FloatRange(0.5, 60), default=1.0, show_default=True, help="Seconds."
)
@options.directory
@options.json_output
def top(once: bool, svg: Path | None, interval: float, directory: Path, as_json: bool) -> None:
    """GPUs, jobs, earnings and coordinators of the running node, live.

    Keys: q ends this, p pauses the node or lets it go on, d lets it drain. With --json one status document is
    printed, as by `status`. Exit code 3 if no node runs.
    """
    from rich.console import Console

    from .frame import frame
    from .live import live
    from .pictures import as_svg
    from .running import running

    document = running(directory)
    if svg is not None and not once:
        raise click.UsageError("--svg is for --once")
    now_ms = read_clock()
    if as_json:
        click.echo(json.dumps(document, indent=2))
    elif svg is not None:
        try:
            svg.write_text(as_svg(frame(document, now_ms), _WIDTH, "neurogrid-node top"))
        except OSError as error:
            fail(str(error))
    elif once:
        Console(width=None if sys.stdout.isatty() else _WIDTH).print(frame(document, now_ms))
    elif not (sys.stdin.isatty() and sys.stdout.isatty()):
        fail("this is no terminal: neurogrid-node top --once")
    else:
        live(directory, interval)
