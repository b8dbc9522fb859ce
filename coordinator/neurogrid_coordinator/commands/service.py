"""``service``: the coordinator as a service of systemd, started with the machine."""

import pwd
from pathlib import Path

import click

from neurogrid_contracts.terminal.service_commands import (
    add_service_commands,
    install_unit,
    name_option,
    no_start_option,
    print_option,
    root_option,
)

from ..service_unit import WRITTEN_BY
from . import options
from .options import fail

_PROGRAM = "neurogrid-coordinator"


@click.group()
def service() -> None:
    """Run the coordinator as a service of systemd."""


@service.command()
@options.directory
@name_option(_PROGRAM)
@root_option
@click.option("--user", help="Whose processes; whose the directory is, if nobody else is named.")
@click.option(
    "--environment-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="Lines NAME=value, such as NEUROGRID_DATABASE_PASSWORD, that systemd reads at each start.",
)
@print_option
@no_start_option
def install(
    directory: Path,
    name: str,
    root: Path,
    user: str | None,
    environment_file: Path | None,
    only_print: bool,
    no_start: bool,
) -> None:
    """Write the unit, and start the coordinator now and whenever the machine starts.

    Typed again it changes what has changed. Nodes' jobs run on while it restarts.
    """
    from neurogrid_contracts.terminal.unit_text import UnitUnwritable
    from neurogrid_wallet.errors import WalletError

    from ..config import ConfigError

    try:
        text = _unit(directory, user, environment_file)
    except (ConfigError, WalletError, UnitUnwritable, OSError) as error:
        fail(str(error))
    if only_print:
        click.echo(text, nl=False)
        return
    install_unit(text, written_by=WRITTEN_BY, name=name, root=root, start=not no_start, fail=fail)


add_service_commands(service, program=_PROGRAM, written_by=WRITTEN_BY, fail=fail)


def _unit(directory: Path, user: str | None, environment_file: Path | None) -> str:
    """The unit of the coordinator in this directory, which has to be one.

    Raises:
        ConfigError, WalletError: it is none, or somebody else's than the user's.
        UnitUnwritable: one of its paths cannot be written in a unit.
    """
    from neurogrid_contracts.terminal.systemd import own_program

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..service_unit import Service
    from ..setup import load_keys

    config = load_config(directory / CONFIG_NAME)
    load_keys(directory)
    owner_uid = directory.stat().st_uid
    try:
        owner = pwd.getpwnam(user) if user is not None else pwd.getpwuid(owner_uid)
    except KeyError:
        raise ConfigError(f"there is no user {user or owner_uid}: name one by --user") from None
    if owner.pw_uid != owner_uid:
        raise ConfigError(f"{directory} is not {user}'s: chown -R {user} {directory}")
    elsewhere = []
    if config.log.file and not (log := (directory / config.log.file).parent).is_relative_to(
        directory
    ):
        elsewhere.append(log)
    if config.uploads.folder is not None and config.uploads.write:
        elsewhere.append(Path(config.uploads.folder))
    return Service(
        own_program(_PROGRAM, "neurogrid_coordinator"),
        directory,
        owner.pw_name,
        environment_file,
        tuple(elsewhere),
    ).unit()
