"""Where a passphrase comes from: a file, the environment, or the terminal; never an argument."""

import getpass
import os
import sys
from pathlib import Path
from typing import Final

from neurogrid_wallet.errors import PassphraseMissing
from neurogrid_wallet.secret_file import read_secret_file

PASSPHRASE_VARIABLE: Final = "NEUROGRID_PASSPHRASE"


def ask_passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """A command's passphrase: the file's, else NEUROGRID_PASSPHRASE, else what is typed.

    Raises:
        PassphraseMissing, SecretFileError: as ``read_passphrase``.
    """
    variable = PASSPHRASE_VARIABLE if PASSPHRASE_VARIABLE in os.environ else None
    return read_passphrase(file, variable, prompt=sys.stdin.isatty(), confirm=confirm)


def read_passphrase(
    file: Path | None, env: str | None, *, prompt: bool, confirm: bool = False
) -> str:
    """The passphrase from the first source that is given.

    Args:
        file: a file that holds it, readable by its owner alone; one newline at its end is no part
            of it.
        env: the name of an environment variable that holds it.
        prompt: ask at the terminal.
        confirm: ask twice, for a new keystore.

    Raises:
        PassphraseMissing: no source is given, or the first one given has none.
        SecretFileError: the file is missing, or readable by others.
    """
    if file is not None:
        try:
            passphrase = read_secret_file(file).decode()
        except UnicodeDecodeError:
            raise PassphraseMissing(f"{file} is not UTF-8 text") from None
        passphrase = passphrase.removesuffix("\n").removesuffix("\r")
        source = str(file)
    elif env is not None:
        passphrase, source = os.environ.get(env, ""), f"the environment variable {env}"
    elif prompt:
        passphrase, source = _ask(confirm), "what was typed"
    else:
        raise PassphraseMissing("no file, environment variable or terminal to take it from")
    if not passphrase:
        raise PassphraseMissing(f"{source} is empty")
    return passphrase


def _ask(confirm: bool) -> str:
    try:
        passphrase = getpass.getpass("Keystore passphrase: ")
        if confirm and getpass.getpass("Again: ") != passphrase:
            raise PassphraseMissing("the two passphrases differ")
    except EOFError:
        raise PassphraseMissing("there is no terminal to ask at") from None
    return passphrase
