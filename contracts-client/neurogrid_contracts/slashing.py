"""What a provider can be slashed for, and the record that each slash leaves in the chain's log.

``contracts-client/program/dispute.c`` writes the same record; which faults there are is decided in
``neurogrid_marketplace.slashing``.
"""

import struct
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from solders.pubkey import Pubkey

from neurogrid_marketplace.slashing import ProvenFault as Fault

__all__ = ["EVIDENCE_BYTES", "Fault", "SlashRecord", "slashes_in"]

SLASH_RECORD: Final = struct.Struct("<8s 32s 32s Q Q 32s")
SLASH_MAGIC: Final = b"NGSLASH1"
EVIDENCE_BYTES: Final = 32
_LOG_PREFIX: Final = "Program data: "


@dataclass(frozen=True, slots=True)
class SlashRecord:
    """One slash, as the program logged it.

    Attributes:
        escrow: the disputed one.
        provider: the provider account (not its owner).
        amount_micro_usdc: what went to the client.
        fault: why.
        evidence: SHA-256 of what proves it.
    """

    escrow: Pubkey
    provider: Pubkey
    amount_micro_usdc: int
    fault: Fault
    evidence: bytes

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the record's 120 bytes.

        Raises:
            ValueError: these are not a slash's.
        """
        if len(data) != SLASH_RECORD.size:
            raise ValueError(f"a slash record has {SLASH_RECORD.size} bytes, not {len(data)}")
        magic, escrow, provider, amount, fault, evidence = SLASH_RECORD.unpack(data)
        if magic != SLASH_MAGIC:
            raise ValueError("not a slash record")
        return cls(Pubkey(escrow), Pubkey(provider), amount, Fault(fault), evidence)


def slashes_in(logs: Iterable[str]) -> list[SlashRecord]:
    """The slashes among a transaction's log lines.

    Any program can log anything: believe a record only of a transaction whose outermost instruction
    is this program's ``slash``.
    """
    found = []
    for line in logs:
        if not line.startswith(_LOG_PREFIX):
            continue
        try:
            found.append(SlashRecord.parse(b64decode(line.removeprefix(_LOG_PREFIX))))
        except ValueError:
            continue  # another program's data
    return found
