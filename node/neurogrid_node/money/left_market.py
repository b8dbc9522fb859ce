"""That the owner has closed the provider account: a file, so that no later start registers again."""

from pathlib import Path

from solders.pubkey import Pubkey

from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

_FILE = "left-market"


def note_left(directory: Path, provider: Pubkey) -> None:
    """Before the account is closed; while it is still there, the note means nothing.

    Raises:
        SecretFileError: the disk refuses.
    """
    write_secret_file(directory / _FILE, f"{provider}\n".encode(), overwrite=True)


def forget_left(directory: Path) -> None:
    """The owner registers again."""
    (directory / _FILE).unlink(missing_ok=True)


def has_left(directory: Path, provider: Pubkey) -> bool:
    """Whether this account was closed by its owner. Another market's is another account."""
    path = directory / _FILE
    return path.exists() and read_secret_file(path).decode().strip() == str(provider)
