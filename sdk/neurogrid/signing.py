"""Signs requests with the account's wallet, where its key is at hand: what moves money asks for it."""

import base64
import json
import time
from collections import OrderedDict
from pathlib import Path
from typing import Self

from neurogrid_marketplace import base58, primitives
from neurogrid_marketplace.request_signing import (
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    request_text,
)

from .errors import ConfigurationError

# Requests that are the same to the byte need two timestamps: so many are told apart.
_REMEMBERED = 1000


class RequestSigner:
    """A wallet's key, for requests. It never shows in ``repr``.

    Args:
        seed: its 32 secret bytes.
    """

    def __init__(self, seed: bytes) -> None:
        self._key = primitives.Ed25519PrivateKey.from_private_bytes(seed)
        # A text without its timestamp -> the timestamp that it had last.
        self._last: OrderedDict[str, int] = OrderedDict()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The key in a Solana key file: a JSON array of 64 numbers.

        Raises:
            ConfigurationError: there is none.
        """
        return cls(read_seed(path))

    def headers(self, network: str, method: str, target: str, body_sha256: str) -> dict[str, str]:
        """What to send with a request; see `neurogrid_marketplace.request_signing`."""
        parts = {"network": network, "method": method, "target": target, "body_sha256": body_sha256}
        same = request_text(timestamp_s=0, **parts)
        timestamp_s = max(int(time.time()), self._last.pop(same, 0) + 1)
        self._last[same] = timestamp_s
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        text = request_text(timestamp_s=timestamp_s, **parts)
        signature = base64.b64encode(self._key.sign(text.encode())).decode()
        return {SIGNATURE_HEADER: signature, TIMESTAMP_HEADER: str(timestamp_s)}


def sign_message(path: Path, wallet: str, message: bytes) -> bytes:
    """The signature of a Solana transaction's message by the key file of this wallet.

    Raises:
        ConfigurationError: the file holds another wallet's key, or none.
        ValueError: the message asks for other signatures than this wallet's one.
    """
    key = primitives.Ed25519PrivateKey.from_private_bytes(read_seed(path))
    public = key.public_key().public_bytes_raw()
    if base58.encode(public) != wallet:
        raise ConfigurationError(
            f"{path} is the key of {base58.encode(public)}, and the account's wallet is {wallet}"
        )
    # Source: Solana's messages of version 0 (which begin with 0x80) and older ones: how many sign, two more counts, how
    # many accounts (one byte below 128), then the accounts, those that sign first. No text begins so.
    old = message[1:] if message[:1] == b"\x80" else message
    if old[:1] != b"\x01" or old[4:36] != public:
        raise ValueError("this is no transaction that the wallet alone signs: it was not signed")
    return key.sign(message)


def read_seed(path: Path) -> bytes:
    """The 32 secret bytes in a Solana key file.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        numbers = json.loads(path.read_bytes())
        secret = bytes(numbers)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
    except (ValueError, TypeError, RecursionError):
        # Without the cause: a parser's message may quote the secret.
        raise ConfigurationError(f"{path} is no Solana key file") from None
    if len(secret) != 64:
        raise ConfigurationError(f"{path} is no Solana key file: it has 64 numbers")
    return secret[:32]
