"""Passphrases in the operating system's keyring, where there is one that encrypts.

The package `keyring` is optional. Of its backends only those are used that keep secrets encrypted
under the user's login: never a file in the clear, and never a silent "nothing is stored".
"""

from importlib import import_module
from typing import Any

from neurogrid_wallet.errors import KeyringUnavailable

_SERVICE = "neurogrid-wallet"

# By module. Whatever is not listed is not trusted: third parties add backends of every kind.
_ENCRYPTING = frozenset(
    f"keyring.backends.{name}"
    for name in ("SecretService", "kwallet", "libsecret", "macOS", "Windows")
)
_CHAIN = "keyring.backends.chainer"


def recall(address: str) -> str | None:
    """The passphrase of the wallet with this address; None where no keyring has it."""
    try:
        found = _use("get_password", address)
    except KeyringUnavailable:
        return None
    return found if isinstance(found, str) else None


def remember(address: str, passphrase: str) -> None:
    """Store a passphrase.

    Raises:
        KeyringUnavailable: there is no keyring that encrypts, or it refuses.
    """
    _use("set_password", address, passphrase)


def forget(address: str) -> None:
    """Remove a passphrase.

    Raises:
        KeyringUnavailable: there is no keyring that encrypts, or it holds none.
    """
    _use("delete_password", address)


def is_encrypting(backend: Any) -> bool:
    """Whether a backend of `keyring` keeps its secrets encrypted."""
    module = type(backend).__module__
    if module == _CHAIN:
        # It writes to the first of its backends and asks all of them.
        members = list(backend.backends)
        return bool(members) and all(type(entry).__module__ in _ENCRYPTING for entry in members)
    return module in _ENCRYPTING


def _use(method: str, *arguments: str) -> Any:
    try:
        keyring = import_module("keyring")
        errors = import_module("keyring.errors")
    except ModuleNotFoundError:
        raise KeyringUnavailable("the package keyring is not installed") from None
    backend = keyring.get_keyring()
    if not is_encrypting(backend):
        raise KeyringUnavailable(
            f"the keyring here ({type(backend).__module__}) does not encrypt: it is not used"
        )
    try:
        return getattr(backend, method)(_SERVICE, *arguments)
    except errors.KeyringError as error:
        raise KeyringUnavailable(f"the keyring refuses: {error}") from error
