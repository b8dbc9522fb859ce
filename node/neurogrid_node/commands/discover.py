"""The command that shows which coordinators can be found. What it does is in `discover`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from ..market.discover import Look

_EXIT_NOTHING = 1
_EXIT_UNUSABLE = 2


@click.command(
    epilog="""\b
Exit codes:
  0  at least one coordinator of this market was found
  1  none was; what is printed says what each source answered
  2  a configuration that cannot be used, or that names nowhere to look
"""
)
@options.directory
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(1, 600),
    default=20.0,
    show_default=True,
    help="The longest that is looked, seconds; it ends sooner when each source has named peers twice, "
    "or answered four times.",
)
@options.json_output
def discover(directory: Path, timeout_s: float, as_json: bool) -> None:
    """Look for coordinators where [discovery] in node.toml says, and join none.

    Shows by which source each was found, whether it answers, and whether this node would join it.
    """
    from ..config import ConfigError
    from ..market.discover import look

    try:
        seen = look(directory, timeout_s)
    except (ConfigError, OSError) as error:
        click.echo(f"neurogrid-node: {error}", err=True)
        sys.exit(_EXIT_UNUSABLE)
    if as_json:
        click.echo(json.dumps(seen.to_json(), indent=2))
    else:
        _print(seen)
    if not seen.coordinators:
        sys.exit(_EXIT_NOTHING)


def _print(seen: "Look") -> None:
    for peer_id, each in seen.coordinators.items():
        if each.connected:
            verdict = "connected"
        elif each.why_not:
            verdict = f"not joined: {each.why_not}"
        else:
            verdict = "may be joined"
        click.echo(f"coordinator {peer_id}\n  {verdict}\n  found by {', '.join(each.sources)}")
        for address, problem in each.addresses.items():
            click.echo(f"  {address}\n    {problem or 'answers'}")
    for source, rounds in sorted(seen.rounds.items()):
        click.echo(f"{source:<12}{rounds.problem or f'{rounds.peers} named'}")
    if not seen.rounds:
        click.echo("no source has answered in time; try --timeout 60")
    for (source, herald), problem in seen.useless.items():
        click.echo(f"no advert   {herald} (named by {source}): {problem}")
