"""`neurogrid-node service`: the node as a service of systemd, started with the machine."""

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
from .exits import fail

_PROGRAM = "neurogrid-node"


@click.group()
def service() -> None:
    """Run the node as a service of systemd."""


@service.command()
@options.directory
@options.passphrase
@name_option(_PROGRAM)
@root_option
@click.option(
    "--user",
    default="root",
    show_default=True,
    help="Whose processes; others than root's give jobs no hard disk limits and no commands beside them.",
)
@print_option
@no_start_option
def install(
    directory: Path,
    passphrase_file: Path | None,
    name: str,
    root: Path,
    user: str,
    only_print: bool,
    no_start: bool,
) -> None:
    """Write the unit, and start the node now and whenever the machine starts.

    Typed again it changes what has changed. Running jobs are the engine's and run on.
    """
    from neurogrid_contracts.terminal.unit_text import UnitUnwritable

    from ..config import ConfigError

    try:
        text = _unit(directory, passphrase_file, user)
    except (ConfigError, UnitUnwritable, OSError) as error:
        fail(str(error))
    if only_print:
        click.echo(text, nl=False)
        return
    install_unit(text, written_by=WRITTEN_BY, name=name, root=root, start=not no_start, fail=fail)


add_service_commands(service, program=_PROGRAM, written_by=WRITTEN_BY, fail=fail)


def _unit(directory: Path, passphrase_file: Path | None, user: str) -> str:
    """The unit of the node in this directory, which has to be one.

    Raises:
        ConfigError: it is none, or it could not start unattended.
        UnitUnwritable: one of its paths cannot be written in a unit.
    """
    from neurogrid_contracts.terminal.systemd import own_program

    from ..config import CONFIG_NAME, ConfigError, load_config
    from ..key_files import SEALED_WALLET_FILE, wallet_address, wallet_file
    from ..service_unit import Service

    config = load_config(directory / CONFIG_NAME)
    wallet_address(directory)
    found = wallet_file(directory)
    assert found is not None, "it has an address"
    if found.name != SEALED_WALLET_FILE:
        passphrase_file = None
    elif passphrase_file is None:
        raise ConfigError(
            f"{found} is sealed, and a service has nobody to ask: give --passphrase-file FILE, which "
            "it reads at each start"
        )
    try:
        owner = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ConfigError(f"there is no user {user}") from None
    if user != "root" and directory.stat().st_uid != owner:
        raise ConfigError(f"{directory} is not {user}'s: chown -R {user} {directory}")
    log = Path(config.log.below(directory).file).parent if config.log.file else directory
    elsewhere = [] if log.is_relative_to(directory) else [log]
    if config.engine.is_fleet:
        elsewhere.append(config.engine.shared_folder())
    return Service(
        own_program("neurogrid-node", "neurogrid_node"),
        directory,
        user,
        passphrase_file.resolve() if passphrase_file is not None else None,
        tuple(elsewhere),
    ).unit()
