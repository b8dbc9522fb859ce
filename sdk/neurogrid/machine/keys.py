"""The keys of a provider's program: its wallet's, and one for each of its machines, which follows from that."""

import hashlib
from pathlib import Path

from neurogrid_marketplace import base58, primitives
from neurogrid_marketplace.identity import peer_id_of

from ..signing import read_seed

# Changing it changes every machine's identity, and with it its reputation.
_PURPOSE = b"neurogrid provider machine v1: "


class Key:
    """An Ed25519 key; it never shows in ``repr``.

    Args:
        seed: its 32 secret bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._private = primitives.Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self._public = self._private.public_key().public_bytes_raw()

    @classmethod
    def of_wallet(cls, path: Path) -> "Key":
        """The key in a Solana key file: a JSON array of 64 numbers.

        Raises:
            ConfigurationError: there is none.
        """
        return cls(read_seed(path))

    def of_machine(self, name: str) -> "Key":
        """The key of this wallet's machine with this name, the same one every time. It tells nothing of the wallet's.

        Source: RFC 5869, HKDF-SHA256 with the wallet's seed as input keying material.
        """
        info = _PURPOSE + hashlib.sha256(name.encode()).digest()
        return Key(primitives.HKDF(primitives.SHA256(), 32, None, info).derive(self._seed))

    @property
    def address(self) -> str:
        """As Solana writes it."""
        return base58.encode(self._public)

    @property
    def peer_id(self) -> str:
        """As libp2p writes it."""
        return peer_id_of(self._public)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        return self._private.sign(message)
