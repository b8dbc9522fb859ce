"""`neurogrid-node keys`: who this node is, and what brings it back."""

import json
import sys
from pathlib import Path

import click

from . import options
from .exits import fail


@click.group()
def keys() -> None:
    """Show who this node is, and back its keys up."""


@keys.command()
@options.directory
@options.json_output
def show(directory: Path, as_json: bool) -> None:
    """The node's peer id, its wallet, and where their keys are. Never a secret."""
    from neurogrid_wallet.errors import WalletError

    from ..config import ConfigError
    from ..key_files import (
        IDENTITY_FILE,
        SEALED_WALLET_FILE,
        node_peer_id,
        wallet_address,
        wallet_file,
    )

    try:
        address = wallet_address(directory)
        peer_id = node_peer_id(directory)
    except (ConfigError, WalletError) as error:
        fail(str(error))
    found = wallet_file(directory)
    assert found is not None, "it has an address"
    sealed = found.name == SEALED_WALLET_FILE
    if as_json:
        document = {
            "peer_id": peer_id,
            "wallet": address,
            "wallet_file": str(found),
            "identity_file": str(directory / IDENTITY_FILE),
            "sealed": sealed,
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(f"peer id  {peer_id}, {directory / IDENTITY_FILE}")
    click.echo(f"wallet   {address}, {found}, {'sealed' if sealed else 'NOT encrypted'}")


@keys.command()
@click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False), required=False, metavar="[FILE]"
)
@click.option("--plain", is_flag=True, help="FILE is not sealed, though the wallet is.")
@options.directory
@options.passphrase
@options.json_output
def backup(
    file: Path | None, plain: bool, directory: Path, passphrase_file: Path | None, as_json: bool
) -> None:
    """Show the words at the terminal and ask for some, or write FILE (0600).

    FILE is sealed as the wallet is: a wallet that is not encrypted has a backup that is not.
    """
    from neurogrid_contracts.terminal.backups import WordWrong
    from neurogrid_wallet.errors import WalletError
    from neurogrid_wallet.keys import KeyPair

    from ..config import ConfigError
    from ..key_files import (
        IDENTITY_FILE,
        SEALED_WALLET_FILE,
        Sealing,
        identity_of,
        key_of,
        load_wallet,
        wallet_file,
    )
    from ..setup import asked_once
    from .backing_up import in_file, on_paper

    if file is None and (as_json or not sys.stdin.isatty()):
        fail("there is no terminal to show the words on: give FILE")
    try:
        back_up = on_paper if file is None else in_file(file, directory, plain=plain)
        found = wallet_file(directory)
        encrypted = found is not None and found.name == SEALED_WALLET_FILE
        sealing = Sealing(encrypted, asked_once(passphrase_file))
        secret = load_wallet(directory, lambda: sealing.ask(False))
        back_up(secret, sealing)
        identity = directory / IDENTITY_FILE
        follows = KeyPair.read_solana_file(identity) == identity_of(key_of(secret))
    except WordWrong as error:
        fail(f"{error}: `neurogrid-node keys backup` shows them again")
    except BrokenPipeError:
        raise  # nobody reads its output any more
    except (ConfigError, WalletError, OSError) as error:
        fail(str(error))
    if as_json:
        document = {"wallet": key_of(secret).address, "file": str(file), "identity": follows}
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(
            f"backed up: wallet {key_of(secret).address}{' and identity' if follows else ''}"
        )
    if not follows:
        click.echo(
            f"The identity does not follow from this wallet: keep a copy of {identity}, too.",
            err=True,
        )
