"""``service uninstall | status`` of any daemon, and what its ``service install`` asks for, too."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import click

_NOT_RUNNING: Final = 3

root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True, resolve_path=True),
    default=Path("/"),
    help="Of another system than the one that runs, such as an image that is being built.",
)
print_option = click.option(
    "--print", "only_print", is_flag=True, help="Print the unit and install nothing."
)
no_start_option = click.option(
    "--no-start", is_flag=True, help="Start it with the machine, but not now."
)


def name_option(program: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``--name``: the unit's, the program's own unless another is given."""
    return click.option(
        "--name",
        default=program,
        show_default=True,
        help="Of the unit: another one for each of this machine.",
    )


def install_unit(
    text: str,
    *,
    written_by: str,
    name: str,
    root: Path,
    start: bool,
    fail: Callable[[str], NoReturn],
) -> None:
    """Install a unit, and say what has become of it."""
    from .systemd import ServiceRefused, Unit

    unit = Unit(name, root, written_by)
    try:
        changed = unit.install(text, start=start)
    except (ServiceRefused, OSError) as error:
        fail(str(error))
    click.echo(f"{unit.path}: {'written' if changed else 'as it was'}, starts with the machine")
    if start and root == Path("/"):
        click.echo(f"running: journalctl -u {name} -f shows its log")


def add_service_commands(
    group: click.Group, *, program: str, written_by: str, fail: Callable[[str], NoReturn]
) -> None:
    """Add the commands that are the same for every daemon.

    Args:
        program: its command, which is the unit's name unless another is given.
        fail: ends the command with the reason.
    """

    @group.command()
    @name_option(program)
    @root_option
    def uninstall(name: str, root: Path) -> None:
        """Stop it and remove its unit. Configuration, keys and data stay."""
        from .systemd import ServiceRefused, Unit

        unit = Unit(name, root, written_by)
        try:
            removed = unit.uninstall()
        except (ServiceRefused, OSError) as error:
            fail(str(error))
        click.echo(f"{unit.path} is {'removed' if removed else 'not there'}")

    @group.command()
    @name_option(program)
    @root_option
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    def status(name: str, root: Path, as_json: bool) -> None:
        """Whether the service is installed, starts with the machine, and runs. Exit code 3 if it does not."""
        from .systemd import ServiceRefused, Unit

        try:
            found = Unit(name, root, written_by).standing()
        except (ServiceRefused, OSError) as error:
            fail(str(error))
        if as_json:
            shown = {
                "unit": str(found.path),
                "installed": found.installed,
                "enabled": found.enabled,
                "state": found.state,
            }
            click.echo(json.dumps(shown, indent=2))
        elif not found.installed:
            click.echo(f"{found.path} is not there: {program} service install", err=True)
        else:
            starts = (
                "starts with the machine" if found.enabled else "does not start with the machine"
            )
            click.echo(f"{found.path}: {found.state}, {starts}")
        if found.state != "active":
            sys.exit(_NOT_RUNNING)
