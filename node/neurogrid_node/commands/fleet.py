"""`neurogrid-node fleet`: the machines that jobs run on, where they are more than this one."""

import json
from pathlib import Path
from typing import Any

import click

from . import options
from .exits import fail

_GIB = 1 << 30


@click.command()
@options.directory
@options.json_output
@click.option(
    "--seccomp",
    is_flag=True,
    help='Print the filter of system calls for "seccomp-profile" in every machine\'s daemon.json.',
)
def fleet(directory: Path, as_json: bool, seccomp: bool) -> None:
    """The machines of the fleet as the node has seen them last, and why one is not offered.

    docs/fleet.md says how a fleet is set up.
    """
    from ..container.seccomp import seccomp_json
    from ..fleet.fleet import FLEET_FILE

    if seccomp:
        click.echo(seccomp_json())
        return
    try:
        machines = json.loads((directory / FLEET_FILE).read_text())
    except FileNotFoundError:
        fail(
            f'no node has looked at a fleet on {directory}: write kind = "swarm" or "kubernetes" below [engine] in '
            "node.toml and start it"
        )
    except (OSError, ValueError) as error:
        fail(f"{directory / FLEET_FILE}: {error}")
    if as_json:
        click.echo(json.dumps(machines, indent=2))
        return
    for machine in machines:
        _print_machine(machine)


def _print_machine(machine: dict[str, Any]) -> None:
    state = "offered" if machine["is_offered"] else "not offered"
    if not machine["is_ready"]:
        state = "away, or takes no jobs"
    click.echo(
        f"{machine['name']}  {machine['machine_id']}  {machine['cpu_millis'] / 1000:g} cores, "
        f"{machine['memory_bytes'] / _GIB:.1f} GiB memory: {state}"
    )
    for problem in machine["problems"]:
        click.echo(f"    {problem}")
    if machine["gpus"]:
        click.echo(f"    {machine['gpus']} GPUs are not offered (docs/fleet.md)")
