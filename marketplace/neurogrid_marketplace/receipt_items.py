"""What a receipt shows, item by item, each with whose signature it rests on."""

from dataclasses import dataclass
from enum import StrEnum


class Proof(StrEnum):
    """How much an item is worth."""

    # Follows from signatures and hashes alone: no signer could have made it up by itself.
    PROVEN = "proven"
    # The word of whoever signed it.
    CLAIMED = "claimed"
    # Was a claim, and the reader's own look at the chain agrees (`chain_evidence`).
    SEEN = "seen on chain"
    # The receipt says nothing of it.
    ABSENT = "not present"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a receipt says.

    Attributes:
        name: for programs; the same in every receipt.
        signed_by: who; empty where nobody did.
        shows: exactly what, for people.
    """

    name: str
    proof: Proof
    signed_by: str
    shows: str


COORDINATOR = "coordinator"
NODE = "node"
BOTH = "coordinator, node"


def proven(name: str, signed_by: str, shows: str) -> Item:
    """Nobody could have made it up alone."""
    return Item(name, Proof.PROVEN, signed_by, shows)


def claimed(name: str, signed_by: str, shows: str) -> Item:
    """Somebody's word."""
    return Item(name, Proof.CLAIMED, signed_by, shows)


def absent(name: str, shows: str) -> Item:
    """Nothing is said of it; ``shows`` says why not, or how to have it."""
    return Item(name, Proof.ABSENT, "", shows)
