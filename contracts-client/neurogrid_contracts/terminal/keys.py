"""Keys by the path of their file: Solana's own form, or our encrypted keystore."""

import json
from pathlib import Path

from neurogrid_wallet.keys import KeyPair
from neurogrid_wallet.keystore import load_keystore
from neurogrid_wallet.passphrase import ask_passphrase
from neurogrid_wallet.secret_file import read_secret_file


def load_key(path: Path, passphrase_file: Path | None = None) -> KeyPair:
    """The key in a file that nobody else may read.

    Args:
        passphrase_file: opens a keystore; else the environment's NEUROGRID_PASSPHRASE, else it is
            asked for.

    Raises:
        SecretFilePermissions: others may read the file.
        WalletError: it is missing or damaged, or the passphrase is wrong.
    """
    if not _is_keystore(read_secret_file(path)):
        return KeyPair.read_solana_file(path)
    return load_keystore(path, ask_passphrase(passphrase_file))


def _is_keystore(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except (ValueError, RecursionError):
        return False  # the reader of Solana's form says what is wrong
