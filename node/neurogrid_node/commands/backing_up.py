"""How an owner keeps a wallet elsewhere, too, and brings it back: words on paper, or a file."""

import sys
from pathlib import Path

import click

from neurogrid_contracts.terminal.backups import prove_backup, read_backup, write_backup
from neurogrid_wallet.errors import SecretFileExists
from neurogrid_wallet.phrase import Phrase, parse_phrase
from neurogrid_wallet.secret_file import SECRET_FILE_BYTES_MAX

from ..config import ConfigError
from ..key_files import BackUp, Sealing, Secret


def on_paper(secret: Secret, sealing: Sealing) -> None:
    """Show the words at the terminal, and ask for some.

    Raises:
        ConfigError: the wallet was made of a key and has no words.
        WordWrong: nothing has shown that they are written down.
    """
    if not isinstance(secret, Phrase):
        raise ConfigError("this wallet is a key and has no words: back it up to a file")
    prove_backup(secret)


def in_file(path: Path, directory: Path, *, plain: bool = False) -> BackUp:
    """Write it to a file, sealed as the wallet is.

    A file that has the same secret already is as good: a run may have been killed after it.

    Args:
        directory: the node's.
        plain: not sealed, whatever the wallet is.

    Raises:
        ConfigError: the file would be lost together with the node's directory.
    """
    if path.resolve().is_relative_to(directory.resolve()):
        raise ConfigError(
            f"{path} is in the node's own directory, and would be lost with it: keep the backup elsewhere"
        )

    def back_up(secret: Secret, sealing: Sealing) -> None:
        try:
            write_backup(path, secret, None if plain else sealing.passphrase())
        except SecretFileExists:
            if read_backup(path, lambda: sealing.ask(False)) != secret:
                raise

    return back_up


def bring_back(source: str, sealing: Sealing) -> Secret:
    """The secret of a node that was there before.

    Args:
        source: a backup's path; ``-``: its words, typed unseen or from standard input.

    Raises:
        WalletError: it is no backup, or its passphrase is wrong.
    """
    if source != "-":
        return read_backup(Path(source), lambda: sealing.ask(False))
    if sys.stdin.isatty():
        return parse_phrase(click.prompt("The words, in order", hide_input=True, err=True))
    return parse_phrase(sys.stdin.read(SECRET_FILE_BYTES_MAX))
