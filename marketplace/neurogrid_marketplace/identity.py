"""Who a peer is: a libp2p peer id that contains its Ed25519 public key.

A libp2p peer id of an Ed25519 key is the base58 text of an identity multihash (code 0x00, length
0x24) over the protobuf ``{type: Ed25519 (1), data: 32 bytes}``. So the id alone is enough to check a
signature. Source: libp2p specs, peer-ids.

Base58 is written out here because the package that libp2p uses has had no release since 2021, and
twenty lines are less than a dependency of the SDK.
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .errors import BadSignature, InvalidValue

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {character: value for value, character in enumerate(_ALPHABET)}
_ED25519_PREFIX = bytes.fromhex("002408011220")
# Longest text that is decoded: twice a 64-byte signature. Decoding is quadratic in the length.
_MAX_BASE58_CHARS = 176


def base58_encode(data: bytes) -> str:
    """Bitcoin's base58, as used by Solana and libp2p."""
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def base58_decode(text: str) -> bytes:
    """Inverse of `base58_encode`.

    Raises:
        InvalidValue: a character outside the alphabet, or longer than any key or signature.
    """
    if len(text) > _MAX_BASE58_CHARS:
        raise InvalidValue("base58 text is longer than any key or signature")
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise InvalidValue(f"{character!r} is not a base58 character")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def peer_id_of(public_key: bytes) -> str:
    """The libp2p peer id of a 32-byte Ed25519 public key."""
    if len(public_key) != 32:
        raise InvalidValue(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    return base58_encode(_ED25519_PREFIX + public_key)


def public_key_of(peer_id: str) -> bytes:
    """The 32-byte Ed25519 public key inside a peer id.

    Raises:
        InvalidValue: not a peer id of an Ed25519 key.
    """
    raw = base58_decode(peer_id)
    if len(raw) != 38 or not raw.startswith(_ED25519_PREFIX):
        raise InvalidValue(f"{peer_id!r} is not the peer id of an Ed25519 key")
    return raw[len(_ED25519_PREFIX) :]


def address_bytes(address: str) -> bytes:
    """The 32 bytes of a Solana address.

    Raises:
        InvalidValue: not base58, or not 32 bytes.
    """
    raw = base58_decode(address)
    if len(raw) != 32:
        raise InvalidValue(f"{address!r} is not a Solana address")
    return raw


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature.

    Raises:
        BadSignature: it does not match.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise BadSignature("the Ed25519 signature does not match") from error
