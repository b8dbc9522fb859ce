"""The encrypted key file: Argon2id makes a key of the passphrase, ChaCha20-Poly1305 seals the secret.

The file is JSON, written in exactly one way, and everything in it but the sealed seed is
authenticated with it. So there is no byte that can be changed without the file being refused.

    {"address":"…","cipher":{"name":"chacha20-poly1305","nonce":"…"},
     "format":"neurogrid-keystore",
     "kdf":{"iterations":3,"lanes":4,"memory_kib":65536,"name":"argon2id","salt":"…"},
     "sealed_seed":"…","version":1}

Version 2 holds a recovery phrase instead: ``sealed_entropy``, and ``derivation``, the path from it
to the key.
"""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from neurogrid_wallet.errors import KeystoreCorrupt, PassphraseMissing, WrongPassphrase
from neurogrid_wallet.keys import SEED_BYTES, KeyPair, public_key_of
from neurogrid_wallet.phrase import ENTROPY_BYTES, Phrase
from neurogrid_wallet.secret_file import read_secret_file, write_secret_file

_FORMAT = "neurogrid-keystore"
_SEED_VERSION = 1
_PHRASE_VERSION = 2
_CIPHER = "chacha20-poly1305"
_KDF = "argon2id"
_SALT_BYTES = 16
_NONCE_BYTES = 12
_TAG_BYTES = 16
_KEY_BYTES = 32

# The file chooses how much memory and time opening it takes, before its authenticity is known. A
# hostile one gets at most this: half a GiB and some seconds.
_MEMORY_KIB_MAX = 512 * 1024
_ITERATIONS_MAX = 16
_LANES_MAX = 16
# And it is never written weaker than this by mistake (OWASP's lowest Argon2id setting has 7 MiB).
_MEMORY_KIB_MIN = 7 * 1024


@dataclass(frozen=True, slots=True)
class KdfParameters:
    """How dear one guess at the passphrase is.

    The default is RFC 9106's recommendation for where memory is scarce: about 0.1 s and 64 MiB,
    both given back afterwards.

    Attributes:
        memory_kib: memory per guess, in KiB.
        iterations: passes over it.
        lanes: how many threads share the work.
    """

    memory_kib: int = 64 * 1024
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        for name, lowest, highest in (
            ("memory_kib", _MEMORY_KIB_MIN, _MEMORY_KIB_MAX),
            ("iterations", 1, _ITERATIONS_MAX),
            ("lanes", 1, _LANES_MAX),
        ):
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                raise ValueError(f"{name} must be between {lowest} and {highest}, not {value!r}")


DEFAULT_KDF = KdfParameters()


@dataclass(frozen=True, slots=True)
class _Header:
    """All of the file but the sealed secret, for which it is the associated data.

    Attributes:
        derivation: the path from a phrase to its key; None where a seed is sealed.
    """

    address: str
    kdf: KdfParameters
    salt: bytes
    nonce: bytes
    derivation: str | None

    @property
    def sealed_name(self) -> str:
        return "sealed_seed" if self.derivation is None else "sealed_entropy"

    def fields(self) -> dict[str, Any]:
        version: dict[str, Any] = {"version": _SEED_VERSION}
        if self.derivation is not None:
            version = {"version": _PHRASE_VERSION, "derivation": self.derivation}
        return {
            **version,
            "format": _FORMAT,
            "address": self.address,
            "kdf": {
                "name": _KDF,
                "memory_kib": self.kdf.memory_kib,
                "iterations": self.kdf.iterations,
                "lanes": self.kdf.lanes,
                "salt": self.salt.hex(),
            },
            "cipher": {"name": _CIPHER, "nonce": self.nonce.hex()},
        }

    def cipher(self, passphrase: str) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(
            hash_secret_raw(
                # An environment variable need not be UTF-8; its bytes are kept as they are.
                passphrase.encode(errors="surrogateescape"),
                self.salt,
                time_cost=self.kdf.iterations,
                memory_cost=self.kdf.memory_kib,
                parallelism=self.kdf.lanes,
                hash_len=_KEY_BYTES,
                type=Type.ID,
                version=ARGON2_VERSION,
            )
        )


def save_keystore(
    path: Path,
    secret: KeyPair | Phrase,
    passphrase: str,
    *,
    kdf: KdfParameters | None = None,
    overwrite: bool = False,
) -> None:
    """Write a key or a phrase, sealed with ``passphrase``, mode 0600. Takes about 0.1 s: use a
    thread.

    Raises:
        SecretFileExists: the path is taken and ``overwrite`` is false.
        SecretFileError: the file system refused.
    """
    if not passphrase:
        raise PassphraseMissing("an empty passphrase protects nothing")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    if isinstance(secret, Phrase):
        address, derivation, plain = secret.key().address, secret.derivation, secret.entropy
    else:
        address, derivation, plain = secret.address, None, secret.seed
    header = _Header(address, kdf or DEFAULT_KDF, salt, nonce, derivation)
    sealed = header.cipher(passphrase).encrypt(nonce, plain, _canonical(header.fields()))
    write_secret_file(path, _file_content(header, sealed), overwrite=overwrite)


def load_keystore(path: Path, passphrase: str) -> KeyPair:
    """The key in the file at ``path``. Takes about 0.1 s and 64 MiB: use a thread.

    Raises: as ``load_secret``.
    """
    secret = load_secret(path, passphrase)
    return secret.key() if isinstance(secret, Phrase) else secret


def load_secret(path: Path, passphrase: str) -> KeyPair | Phrase:
    """What the file at ``path`` holds. Takes about 0.1 s and 64 MiB: use a thread.

    Raises:
        SecretFilePermissions: others may read the file.
        SecretFileError: it is missing or unreadable.
        KeystoreCorrupt: it is no keystore, or damaged in a way that shows without the passphrase.
        WrongPassphrase: the passphrase is wrong, or the file was altered.
    """
    header, sealed = _parse(path, read_secret_file(path))
    try:
        plain = header.cipher(passphrase).decrypt(header.nonce, sealed, _canonical(header.fields()))
    except InvalidTag:
        raise WrongPassphrase(f"{path}: the passphrase is wrong, or the file was altered") from None
    secret = KeyPair(plain) if header.derivation is None else Phrase(plain, header.derivation)
    key = secret.key() if isinstance(secret, Phrase) else secret
    if key.address != header.address:
        # Only who knows the passphrase can write this, so it is our own fault.
        raise KeystoreCorrupt(f"{path} names {header.address} and holds {key.address}")
    return secret


def keystore_address(path: Path) -> str:
    """The address of the key in the file, which needs no passphrase, and so is no more than a
    claim until ``load_keystore`` has opened it.

    Raises:
        SecretFileError, KeystoreCorrupt: as ``load_keystore``.
    """
    header, _ = _parse(path, read_secret_file(path))
    return header.address


def _parse(path: Path, content: bytes) -> tuple[_Header, bytes]:
    try:
        fields = json.loads(content)
        kdf, cipher = fields["kdf"], fields["cipher"]
        public_key_of(fields["address"])
        derivation = fields["derivation"] if "sealed_entropy" in fields else None
        header = _Header(
            fields["address"],
            KdfParameters(kdf["memory_kib"], kdf["iterations"], kdf["lanes"]),
            bytes.fromhex(kdf["salt"]),
            bytes.fromhex(cipher["nonce"]),
            derivation,
        )
        sealed = bytes.fromhex(fields[header.sealed_name])
        secret_bytes = len(sealed) - _TAG_BYTES
        if derivation is None:
            well_sized = secret_bytes == SEED_BYTES
        else:
            # Refuses a path that could never be followed.
            well_sized = secret_bytes in ENTROPY_BYTES and bool(Phrase(bytes(16), derivation))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise KeystoreCorrupt(f"{path} is not a keystore: {error!r}") from error
    lengths = (len(header.salt), len(header.nonce))
    if lengths != (_SALT_BYTES, _NONCE_BYTES) or not well_sized:
        raise KeystoreCorrupt(f"{path} is damaged: a salt, nonce or secret has the wrong length")
    # Also refuses another format, version, cipher or KDF, unknown fields and stray white space.
    if _file_content(header, sealed) != content:
        raise KeystoreCorrupt(
            f"{path} is not a {_FORMAT} of version {_SEED_VERSION} or {_PHRASE_VERSION}, "
            "or not as it was written"
        )
    return header, sealed


def _file_content(header: _Header, sealed: bytes) -> bytes:
    return _canonical(header.fields() | {header.sealed_name: sealed.hex()}) + b"\n"


def _canonical(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
