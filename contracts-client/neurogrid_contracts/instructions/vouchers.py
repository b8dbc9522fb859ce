"""The Ed25519 instruction that lets the program trust a voucher."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from neurogrid_marketplace.voucher import Voucher

ED25519_PROGRAM_ID: Final = Pubkey.from_string("Ed25519SigVerify111111111111111111111111111")


@dataclass(frozen=True, slots=True)
class SignedVoucher:
    """A voucher and the session key's signature over its 72 bytes.

    Attributes:
        voucher: what was signed.
        signer: the Ed25519 key; must be the escrow's voucher_signer.
        signature: 64 bytes.
    """

    voucher: Voucher
    signer: Pubkey
    signature: bytes


# Count byte and padding byte; then per signature seven u16, source: Solana's Ed25519 precompile.
_ED25519_HEADER_BYTES: Final = 2
_ED25519_ENTRY: Final = struct.Struct("<7H")
# In place of an instruction index: "in this same instruction". The program accepts nothing else.
_THIS_INSTRUCTION: Final = 0xFFFF
SIGNATURE_BYTES: Final = 64


def ed25519_instruction(vouchers: Sequence[SignedVoucher]) -> Instruction:
    """The instruction that makes the runtime verify the vouchers' signatures.

    Put it into the same transaction as the :func:`claim_voucher` instructions. Each signature
    costs another 5,000 lamports, and a transaction has room for at most eight.

    Raises:
        ValueError: no voucher, more than eight, or a signature that has not 64 bytes.
    """
    if not 1 <= len(vouchers) <= 8:
        raise ValueError(f"one to eight vouchers, not {len(vouchers)}")
    entries = b""
    bodies = b""
    start = _ED25519_HEADER_BYTES + _ED25519_ENTRY.size * len(vouchers)
    for signed in vouchers:
        if len(signed.signature) != SIGNATURE_BYTES:
            raise ValueError(f"a signature has {SIGNATURE_BYTES} bytes")
        message = signed.voucher.message()
        key_offset = start + len(bodies)
        signature_offset = key_offset + 32
        message_offset = signature_offset + SIGNATURE_BYTES
        entries += _ED25519_ENTRY.pack(
            signature_offset,
            _THIS_INSTRUCTION,
            key_offset,
            _THIS_INSTRUCTION,
            message_offset,
            len(message),
            _THIS_INSTRUCTION,
        )
        bodies += bytes(signed.signer) + signed.signature + message
    return Instruction(ED25519_PROGRAM_ID, bytes([len(vouchers), 0]) + entries + bodies, [])
