"""The key that guards the methods which bend the rules: time travel, forks, faults.

Whoever reaches the ledger may use it; only who reads this file may bend it. A web page in the
user's browser, for one, reaches every port of the machine.
"""

import hmac
import os
import secrets
from pathlib import Path

from neurogrid_contracts.ledger.errors import CONTROL_REFUSED, ControlKeyInvalid, RpcError

# 128 bits in hexadecimal: what nobody guesses.
_KEY_CHARS_MIN = 32


class ControlKey:
    """A secret text."""

    def __init__(self, text: str) -> None:
        self._text = text

    def check(self, given: object) -> None:
        """Raises RpcError unless ``given`` is the key."""
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode(errors="replace"), self._text.encode()
        ):
            raise RpcError(
                CONTROL_REFUSED,
                "key: not this ledger's control key; its file is control.key in the ledger's"
                " directory, or what --control-key-file names",
            )


def load_control_key(path: Path, *, create: bool) -> ControlKey:
    """The key in the file ``path``; with ``create``, it is made when there is none.

    Raises:
        ControlKeyInvalid: the file cannot be read, or holds too little.
    """
    if create and not path.exists():
        _create(path)
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ControlKeyInvalid(f"{path}: {error}") from error
    if len(text) < _KEY_CHARS_MIN:
        raise ControlKeyInvalid(
            f"{path}: a control key has at least {_KEY_CHARS_MIN} characters;"
            " write one with: openssl rand -hex 32"
        )
    return ControlKey(text)


def _create(path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
