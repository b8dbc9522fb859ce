"""Signatures and ciphers, loaded when one is first used: all that we take of `cryptography`.

Who only submits jobs signs and seals nothing, and installs without it; ``pip install 'neurogrid[keys]'`` brings it.
Write ``primitives.Name`` where it is used, and quote it in annotations.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import KeysMissing

if TYPE_CHECKING:
    from cryptography.exceptions import InvalidSignature, InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

__all__ = [
    "AEAD",
    "HKDF",
    "KDF",
    "KEM",
    "SHA256",
    "ChaCha20Poly1305",
    "Ed25519PrivateKey",
    "Ed25519PublicKey",
    "InvalidSignature",
    "InvalidTag",
    "Suite",
    "X25519PrivateKey",
    "X25519PublicKey",
]

_ROOT = "cryptography.hazmat.primitives"
_HOMES = {
    "AEAD": f"{_ROOT}.hpke",
    "ChaCha20Poly1305": f"{_ROOT}.ciphers.aead",
    "Ed25519PrivateKey": f"{_ROOT}.asymmetric.ed25519",
    "Ed25519PublicKey": f"{_ROOT}.asymmetric.ed25519",
    "HKDF": f"{_ROOT}.kdf.hkdf",
    "InvalidSignature": "cryptography.exceptions",
    "InvalidTag": "cryptography.exceptions",
    "KDF": f"{_ROOT}.hpke",
    "KEM": f"{_ROOT}.hpke",
    "SHA256": f"{_ROOT}.hashes",
    "Suite": f"{_ROOT}.hpke",
    "X25519PrivateKey": f"{_ROOT}.asymmetric.x25519",
    "X25519PublicKey": f"{_ROOT}.asymmetric.x25519",
}


def __getattr__(name: str) -> Any:
    """A name of `cryptography`, which stays here from then on.

    Raises:
        KeysMissing: it is not installed.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(_HOMES[name])
    except ModuleNotFoundError as error:
        raise KeysMissing from error
    value = globals()[name] = getattr(module, name)
    return value
