"""Ed25519 key pairs: who a wallet is, and what it signs with.

Importing this module loads `cryptography` and nothing of Solana: a command that only signs a
voucher or prints an address stays small.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from neurogrid_marketplace import base58
from neurogrid_marketplace.errors import InvalidValue
from neurogrid_wallet.errors import KeyInvalid
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

if TYPE_CHECKING:
    from solders.keypair import Keypair

SEED_BYTES = 32
PUBLIC_KEY_BYTES = 32
SIGNATURE_BYTES = 64

# Separates our derived keys from whatever else may be derived from the same seed. Changing it
# changes every derived key.
_DERIVATION_SALT = b"neurogrid-wallet/derive/v1"


class KeyPair:
    """An Ed25519 key pair. Its seed never shows in ``repr`` or in an error.

    Attributes:
        public_key: 32 bytes.
        address: the public key in Base58, as Solana writes it.
    """

    __slots__ = ("_private", "_seed", "address", "public_key")

    def __init__(self, seed: bytes) -> None:
        """The key pair of a 32-byte seed.

        Raises:
            KeyInvalid: another number of bytes.
        """
        if len(seed) != SEED_BYTES:
            raise KeyInvalid(f"a seed has {SEED_BYTES} bytes, not {len(seed)}")
        self._seed = bytes(seed)
        self._private = Ed25519PrivateKey.from_private_bytes(self._seed)
        self.public_key: bytes = self._private.public_key().public_bytes_raw()
        self.address: str = base58.encode(self.public_key)

    @classmethod
    def generate(cls) -> Self:
        """A new key pair from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate().private_bytes_raw())

    @property
    def seed(self) -> bytes:
        """The secret: whoever has these 32 bytes is this wallet."""
        return self._seed

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of ``message``."""
        return self._private.sign(message)

    def derive(self, info: bytes) -> "KeyPair":
        """The child key for the purpose that ``info`` names, the same one every time.

        A session key that can be derived again need not be stored. Children reveal nothing about
        the parent or about each other.

        Args:
            info: what the key is for, for example ``b"voucher" + escrow``; not empty.

        Source: RFC 5869, HKDF-SHA256 with the seed as input keying material.
        """
        if not info:
            raise KeyInvalid("a derived key needs a purpose")
        return KeyPair(HKDF(SHA256(), SEED_BYTES, _DERIVATION_SALT, info).derive(self._seed))

    def to_solders(self) -> "Keypair":
        """The same key as `solders` has it, to sign transactions with."""
        # Imported here because solders costs 20 MiB, and most holders of a key never need it.
        from solders.keypair import Keypair

        return Keypair.from_seed(self._seed)

    @classmethod
    def read_solana_file(cls, path: Path) -> Self:
        """Read a key file of the Solana command line: a JSON array of 64 numbers.

        Raises:
            SecretFileError: missing, or readable by others.
            KeyInvalid: no such array, or its public half belongs to another seed.
        """
        content = read_secret_file(path)
        try:
            numbers = json.loads(content)
            if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
                raise ValueError
            secret = bytes(numbers)
        except (ValueError, RecursionError):
            # Without the cause: a parser's message may quote the secret.
            raise KeyInvalid(f"{path} is not a JSON array of byte values") from None
        if len(secret) != SEED_BYTES + PUBLIC_KEY_BYTES:
            raise KeyInvalid(f"{path} holds {len(secret)} numbers, expected 64")
        key = cls(secret[:SEED_BYTES])
        if key.public_key != secret[SEED_BYTES:]:
            raise KeyInvalid(f"{path} is damaged: its public key does not belong to its seed")
        return key

    def write_solana_file(self, path: Path, *, overwrite: bool = False) -> None:
        """Write a key file of the Solana command line, unencrypted, with mode 0600.

        Raises:
            SecretFileExists: the path is taken and ``overwrite`` is false.
            SecretFileError: the file system refused.
        """
        content = json.dumps(list(self._seed + self.public_key), separators=(",", ":"))
        write_secret_file(path, content.encode(), overwrite=overwrite)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyPair) and self.public_key == other.public_key

    def __hash__(self) -> int:
        return hash(self.public_key)

    def __repr__(self) -> str:
        return f"KeyPair({self.address})"


def address_of(public_key: bytes) -> str:
    """A 32-byte public key as an address in Base58."""
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise KeyInvalid(f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
    return base58.encode(public_key)


def public_key_of(address: str) -> bytes:
    """The 32 bytes of an address in Base58.

    Raises:
        KeyInvalid: not an address.
    """
    try:
        return base58.decode(address, PUBLIC_KEY_BYTES)
    except InvalidValue as error:
        raise KeyInvalid(f"not an address: {error}") from error


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is ``public_key``'s signature of ``message``; never raises for input."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
