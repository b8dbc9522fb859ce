"""Who takes part in the vectors: keys made from names, so that anybody can make them again."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from neurogrid_marketplace import base58
from neurogrid_marketplace.identity import peer_id_of


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody with an Ed25519 key.

    Attributes:
        seed: SHA-256 of the name; the 32-byte private key of RFC 8032.
    """

    name: str
    seed: bytes
    public_key: bytes
    sign: Callable[[bytes], bytes]

    @property
    def peer_id(self) -> str:
        """As libp2p writes the public key."""
        return peer_id_of(self.public_key)

    @property
    def address(self) -> str:
        """As Solana writes it."""
        return base58.encode(self.public_key)


def party(name: str) -> Party:
    """The party of this name."""
    seed = hashlib.sha256(name.encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return Party(name, seed, key.public_key().public_bytes_raw(), key.sign)


COORDINATOR = party("coordinator")
WINNER = party("winner")
LOSER = party("loser")
DECLINER = party("decliner")
CLIENT = party("client")
# The key whose vouchers the escrow pays.
VOUCHER_SIGNER = party("voucher signer")
PARTIES = (COORDINATOR, WINNER, LOSER, DECLINER, CLIENT, VOUCHER_SIGNER)
