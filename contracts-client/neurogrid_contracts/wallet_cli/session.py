"""What every wallet command has: which wallet, which passphrase, how it prints and asks."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from neurogrid_contracts.wallet_cli.failures import UsageRefused
from neurogrid_wallet import os_keyring
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.passphrase import PASSPHRASE_VARIABLE, ask_passphrase
from neurogrid_wallet.wallets import DEFAULT_FOLDER, Wallet, WalletFolder

FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class Session:
    """One command's wallet folder and manners.

    Attributes:
        name: the wallet; None: the default one.
        passphrase_file: from the command line or the environment.
        yes: do not ask.
    """

    folder: WalletFolder
    name: str | None
    passphrase_file: Path | None
    as_json: bool
    yes: bool

    def wallet(self) -> Wallet:
        """The wallet that is meant."""
        return self.folder.open(self.name)

    def passphrase(self, address: str | None = None, *, confirm: bool = False) -> str:
        """The passphrase: file, environment, the system's keyring, or the terminal.

        Args:
            address: whose passphrase the keyring may hold; None: do not ask it.
            confirm: it is a new one: ask twice.
        """
        given = self.passphrase_file is not None or PASSPHRASE_VARIABLE in os.environ
        if not given and address is not None:
            found = os_keyring.recall(address)
            if found is not None:
                return found
        return ask_passphrase(self.passphrase_file, confirm=confirm)

    def unlock(self, wallet: Wallet) -> KeyPair:
        """The wallet's key."""
        wallet.require_key()
        return wallet.unlock(self.passphrase(wallet.address))

    def confirm(self, *says: str) -> None:
        """Say what will happen and ask for it.

        Raises:
            UsageRefused: no, or there is nobody to ask.
        """
        if self.yes:
            return
        if not sys.stdin.isatty() or self.as_json:
            raise UsageRefused("there is nobody to ask: add --yes to confirm")
        for line in says:
            click.echo(line, err=True)
        if not click.confirm("Do it?", err=True):
            raise UsageRefused("not confirmed; nothing was done")


def with_session(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command a `Session` as its first argument, and the options that make it."""

    @click.pass_context
    def run(
        ctx: click.Context,
        /,
        *args: Any,
        folder: Path,
        name: str | None,
        passphrase_file: Path | None,
        as_json: bool,
        yes: bool,
        **kwargs: Any,
    ) -> None:
        # Where the group looks when the command fails.
        ctx.meta["neurogrid.json"] = as_json
        session = Session(WalletFolder(folder), name, passphrase_file, as_json, yes)
        function(session, *args, **kwargs)

    command = update_wrapper(run, function)
    for option in reversed(
        (
            click.option(
                "-w",
                "--wallet",
                "name",
                envvar="NEUROGRID_WALLET",
                metavar="NAME",
                help="Which wallet; else the default one.",
            ),
            click.option(
                "--wallets",
                "folder",
                envvar="NEUROGRID_WALLETS",
                metavar="DIR",
                default=DEFAULT_FOLDER,
                show_default=True,
                type=click.Path(path_type=Path, file_okay=False),
                help="Where the wallets are.",
            ),
            click.option(
                "--passphrase-file",
                envvar="NEUROGRID_WALLET_PASSPHRASE_FILE",
                type=FILE,
                help="File with the passphrase, mode 0600; "
                f"else {PASSPHRASE_VARIABLE}, the system's keyring, or a question.",
            ),
            click.option("-y", "--yes", is_flag=True, help="Do not ask."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON for programs."),
        )
    ):
        command = option(command)
    return command
