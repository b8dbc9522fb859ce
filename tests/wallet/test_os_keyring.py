import sys
from types import ModuleType

import pytest

from neurogrid_wallet import os_keyring
from neurogrid_wallet.errors import KeyringUnavailable


def _of(module: str, *members: object) -> object:
    """A backend as `keyring` finds them: what it is shows in the module of its class."""
    return type("Keyring", (), {"__module__": module, "backends": list(members)})()


SECRET_SERVICE = _of("keyring.backends.SecretService")
PLAINTEXT = _of("keyrings.alt.file")


@pytest.mark.parametrize(
    ("backend", "encrypts"),
    [
        (SECRET_SERVICE, True),
        (_of("keyring.backends.macOS"), True),
        (_of("keyring.backends.fail"), False),
        (_of("keyring.backends.null"), False),
        (PLAINTEXT, False),
        (_of("somebody.elses"), False),
        (_of("keyring.backends.chainer", SECRET_SERVICE), True),
        (_of("keyring.backends.chainer", SECRET_SERVICE, PLAINTEXT), False),
        (_of("keyring.backends.chainer"), False),
    ],
)
def test_only_backends_that_are_known_to_encrypt_are_used(backend: object, encrypts: bool) -> None:
    assert os_keyring.is_encrypting(backend) is encrypts


def test_without_the_package_nothing_is_remembered_and_nothing_breaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Python's own way to say that a module cannot be imported.
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert os_keyring.recall("address") is None
    with pytest.raises(KeyringUnavailable, match="not installed"):
        os_keyring.remember("address", "passphrase")


def _install(monkeypatch: pytest.MonkeyPatch, backend: object) -> None:
    keyring, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    keyring.get_keyring = lambda: backend  # type: ignore[attr-defined]  # the package's own name
    errors.KeyringError = OSError  # type: ignore[attr-defined]  # the package's own name
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)


def test_a_keyring_in_the_clear_is_never_given_a_passphrase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It has no method to store anything: touching it would be another error.
    _install(monkeypatch, PLAINTEXT)
    assert os_keyring.recall("address") is None
    with pytest.raises(KeyringUnavailable, match="does not encrypt"):
        os_keyring.remember("address", "passphrase")
