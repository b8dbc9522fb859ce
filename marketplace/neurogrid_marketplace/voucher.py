"""Cumulative payment vouchers: the bytes that a client's session key signs.

A voucher says "the provider of this escrow has earned this much in total so far". A later voucher
replaces an earlier one, so losing one costs nothing and replaying one pays nothing. The escrow
program checks the same 72 bytes through Solana's Ed25519 precompile.

Layout (little-endian; source: docs/protocol.md, contracts-client/program/voucher.h):

    0   8   magic "NGVOUCH1"
    8   8   domain: which deployment of the program (a devnet voucher is worthless on mainnet)
    16  32  escrow address
    48  8   sequence of the escrow (a closed and reopened job id gets a new one)
    56  8   cumulative amount, micro-USDC
    64  8   zero
"""

import struct
from dataclasses import dataclass

from .errors import InvalidValue

MAGIC = b"NGVOUCH1"
VOUCHER_BYTES = 72
_LAYOUT = struct.Struct("<8sQ32sQQQ")
U64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Voucher:
    """What one voucher states.

    Attributes:
        domain: the deployment's domain tag, u64.
        escrow: address of the escrow account, 32 bytes.
        sequence: the escrow's sequence number, u64.
        cumulative_micro_usdc: total earned so far, micro-USDC, u64.
    """

    domain: int
    escrow: bytes
    sequence: int
    cumulative_micro_usdc: int

    def __post_init__(self) -> None:
        if len(self.escrow) != 32:
            raise InvalidValue(f"an escrow address has 32 bytes, not {len(self.escrow)}")
        for name in ("domain", "sequence", "cumulative_micro_usdc"):
            if not 0 <= getattr(self, name) <= U64_MAX:
                raise InvalidValue(f"{name} does not fit an unsigned 64-bit integer")

    def message(self) -> bytes:
        """The 72 bytes that are signed."""
        return _LAYOUT.pack(
            MAGIC, self.domain, self.escrow, self.sequence, self.cumulative_micro_usdc, 0
        )
