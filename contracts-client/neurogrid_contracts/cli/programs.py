"""Commands for the program itself: deploy, upgrade, verify, show, authorities, buffers."""

from pathlib import Path
from typing import Any

import click

from neurogrid_contracts.cli import options

_elf = click.option(
    "--elf",
    "elf_file",
    type=options.FILE,
    help="The program's ELF; the packaged one, if not given.",
)
_buffer = click.option(
    "--buffer",
    metavar="KEYFILE|ADDRESS",
    help="Use this buffer: a key file to create it with, or the address of one that exists.",
)


@click.command()
@_elf
@click.option(
    "--program",
    "program_file",
    type=options.FILE,
    help="Key file whose address the program gets; a new one, if not given.",
)
@click.option(
    "--max-data-len",
    type=click.IntRange(1),
    metavar="BYTES",
    help="Room for later versions; a quarter more than the ELF, if not given.",
)
@_buffer
@options.spending
def deploy(**given: Any) -> None:
    """Deploy the program at a new address.

    Interrupted, the same command goes on with the same buffer and address and pays for nothing
    twice.
    """
    from neurogrid_contracts.cli.program_changes import Deployment, deploy

    options.change(deploy, Deployment, given)


@click.command()
@click.argument("program_id", metavar="PROGRAM")
@_elf
@_buffer
@options.spending
def upgrade(**given: Any) -> None:
    """Replace PROGRAM's code; extends its room if the new code needs it.

    Interrupted, the same command goes on and pays for nothing twice.
    """
    from neurogrid_contracts.cli.program_changes import Upgrade, upgrade

    options.change(upgrade, Upgrade, given)


@click.command("write-buffer")
@_elf
@_buffer
@click.option(
    "--hand-to",
    metavar="ADDRESS",
    help="Give the written buffer to this authority, such as a multisig's vault.",
)
@options.spending
def write_buffer(**given: Any) -> None:
    """Write the program into a buffer and stop there: a multisig's members deploy it."""
    from neurogrid_contracts.cli.program_changes import BufferWriting, write_only

    options.change(write_only, BufferWriting, given)


@click.command("close-buffer")
@click.argument("buffer_address", metavar="BUFFER")
@options.spending
def close_buffer(**given: Any) -> None:
    """Delete an abandoned buffer; its rent goes to the payer."""
    from neurogrid_contracts.cli.program_authority import BufferClosing, close_buffer

    options.change(close_buffer, BufferClosing, given)


@click.command("set-authority")
@click.argument("program_id", metavar="PROGRAM")
@click.option(
    "--to",
    "new_file",
    type=options.FILE,
    help="Key file of the new authority, which signs too: so its key certainly exists.",
)
@click.option(
    "--to-address",
    "new_address",
    metavar="ADDRESS",
    help="New authority that cannot sign here, such as a multisig's vault. Needs --confirm.",
)
@click.option(
    "--final", is_flag=True, help="Nobody can upgrade it any more, ever. Needs --confirm."
)
@click.option(
    "--confirm",
    metavar="ADDRESS",
    help="Say it twice: the new authority's address, or with --final the program's.",
)
@options.spending
def set_authority(**given: Any) -> None:
    """Hand over the right to upgrade PROGRAM, or end it."""
    from neurogrid_contracts.cli.program_authority import AuthorityChange, set_authority

    options.change(set_authority, AuthorityChange, given)


@click.command()
@click.argument("address", metavar="PROGRAM|BUFFER")
@options.url
@options.genesis
@options.as_json
def show(address: str, url: str, genesis_hash: str | None, as_json: bool) -> None:
    """Show who may change a program or buffer, its size and its hash."""
    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.cli.program_reading import show
    from neurogrid_contracts.terminal.output import print_result

    print_result(run(lambda: show(address, url, genesis_hash), as_json=as_json), as_json=as_json)


@click.command()
@click.argument("program_id", metavar="PROGRAM")
@_elf
@click.option(
    "--rebuild", is_flag=True, help="Build the program from its source, and compare with that too."
)
@click.option(
    "--source",
    "source_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="The folder contracts-client/program of a checkout, for --rebuild.",
)
@options.url
@options.genesis
@options.as_json
def verify(
    program_id: str,
    elf_file: Path | None,
    rebuild: bool,
    source_folder: Path | None,
    url: str,
    genesis_hash: str | None,
    as_json: bool,
) -> None:
    """Compare what PROGRAM runs with the packaged program; exit code 6 if it differs."""
    import sys

    from neurogrid_contracts.cli.errors import run
    from neurogrid_contracts.cli.exit_codes import DIFFERENT
    from neurogrid_contracts.cli.program_reading import verify
    from neurogrid_contracts.terminal.output import print_result

    result = run(
        lambda: verify(program_id, elf_file, rebuild, source_folder, url, genesis_hash),
        as_json=as_json,
    )
    print_result(result, as_json=as_json)
    if not result["verified"]:
        sys.exit(DIFFERENT)
