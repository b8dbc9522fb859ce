"""What brings a key back: words on paper, shown once and asked for, or a file kept elsewhere."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import click

from neurogrid_wallet.errors import KeyInvalid
from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import load_secret, save_keystore
from neurogrid_wallet.phrase import Phrase, parse_phrase, words_to_ask
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

# Enough that nobody answers from what is still on the screen by chance, few enough to be typed.
_WORDS_ASKED = 3


class WordWrong(Exception):
    """A word that was asked for is another one; the message says which, by its position."""


def prove_backup(phrase: Phrase) -> None:
    """Show the words on the terminal, clear them away, and ask for some.

    Raises:
        WordWrong: nothing has shown that they are written down.
    """
    words = phrase.words
    # Standard error: standard output may go to a file or into a log.
    click.echo("Write these words down, in this order. Whoever has them has the money.\n", err=True)
    for row in range(0, len(words), 4):
        cells = [f"{number + 1:2}. {words[number]:10}" for number in range(row, row + 4)]
        click.echo("  ".join(cells).rstrip(), err=True)
    click.prompt(
        "\nPress Enter when they are written down",
        default="",
        show_default=False,
        prompt_suffix=" ",
        err=True,
    )
    if sys.stderr.isatty():
        # Screen and scrollback: what is asked for must come from the paper.
        click.echo("\x1b[2J\x1b[3J\x1b[H", nl=False, err=True)
    for number in words_to_ask(len(words), _WORDS_ASKED):
        if click.prompt(f"Word {number}", err=True).strip().lower() != words[number - 1]:
            raise WordWrong(f"word {number} is another one")


def write_backup(path: Path, secret: KeyPair | Phrase, passphrase: str | None) -> None:
    """Write what brings the key back.

    Args:
        passphrase: seals it as a keystore; None: the bare words, or a key file of Solana's.

    Raises:
        SecretFileExists: the path is taken.
    """
    if passphrase is not None:
        save_keystore(path, secret, passphrase)
    elif isinstance(secret, Phrase):
        write_secret_file(path, (" ".join(secret.words) + "\n").encode(), overwrite=False)
    else:
        secret.write_solana_file(path)


def read_backup(path: Path, passphrase: Callable[[], str]) -> KeyPair | Phrase:
    """Read what `write_backup` wrote, of whichever kind.

    Args:
        passphrase: asked where the file is sealed.

    Raises:
        PhraseInvalid, KeyInvalid, KeystoreCorrupt: it is no backup, or damaged.
        WrongPassphrase: as it says.
        SecretFileError: it is missing, or readable by others.
    """
    text = read_secret_file(path).decode(errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return parse_phrase(text)
    if isinstance(document, dict):
        return load_secret(path, passphrase())
    if isinstance(document, list):
        return KeyPair.read_solana_file(path)
    raise KeyInvalid(f"{path} holds neither words nor a key")
