"""Who a peer is: a libp2p peer id that contains its Ed25519 public key.

A libp2p peer id of an Ed25519 key is the base58 text of an identity multihash (code 0x00, length
0x24) over the protobuf ``{type: Ed25519 (1), data: 32 bytes}``. So the id alone is enough to check a
signature. Source: libp2p specs, peer-ids.
"""

from . import base58, primitives
from .errors import BadSignature, InvalidValue

_ED25519_PREFIX = bytes.fromhex("002408011220")


def peer_id_of(public_key: bytes) -> str:
    """The libp2p peer id of a 32-byte Ed25519 public key."""
    if len(public_key) != 32:
        raise InvalidValue(f"an Ed25519 public key has 32 bytes, not {len(public_key)}")
    return base58.encode(_ED25519_PREFIX + public_key)


def public_key_of(peer_id: str) -> bytes:
    """The 32-byte Ed25519 public key inside a peer id.

    Raises:
        InvalidValue: not a peer id of an Ed25519 key.
    """
    raw = base58.decode(peer_id, len(_ED25519_PREFIX) + 32)
    if not raw.startswith(_ED25519_PREFIX):
        raise InvalidValue(f"{peer_id!r} is not the peer id of an Ed25519 key")
    return raw[len(_ED25519_PREFIX) :]


def address_bytes(address: str) -> bytes:
    """The 32 bytes of a Solana address.

    Raises:
        InvalidValue: not base58, or not 32 bytes.
    """
    return base58.decode(address, 32)


def check_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check an Ed25519 signature.

    Raises:
        BadSignature: it does not match.
    """
    try:
        primitives.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (primitives.InvalidSignature, ValueError) as error:
        raise BadSignature("the Ed25519 signature does not match") from error
