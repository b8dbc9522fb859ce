"""Deterministic identities for tests."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace import base58
from neurogrid_marketplace.identity import peer_id_of


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    peer_id: str
    address: str
    sign: Callable[[bytes], bytes]


def person(name: str) -> Person:
    """The same name has the same key in every run."""
    key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(name.encode()).digest())
    public = key.public_key().public_bytes_raw()
    return Person(peer_id_of(public), base58.encode(public), key.sign)
