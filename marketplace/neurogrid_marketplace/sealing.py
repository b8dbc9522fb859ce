"""Sealed bids: commit first, show later, where a task asks for it (`Demand.sealed_bids`).

    demand -> commit (a hash) -> reveal (every commitment) -> bid (with its nonce)

In an open auction the coordinator reads each bid as it comes, and could tell a friend what to
undercut. Here it gets hashes until the window has closed; then it signs to every bidder the list of
all that it holds, and only then sees a bid. A bid that is not what its node committed to does not
count, and none can be added (docs/adr/0021-sealed-bids.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from .bid import Bid
from .canonical import sha256_hex
from .fields import Id, PeerId, Sha256, plain

# From the reveal to the bid: a node has it ready.
REVEAL_LIMIT_MS = 1_000


@dataclass(frozen=True, slots=True)
class Commit:
    """A bid that is made and not shown: its resources are held from now on.

    ``commitment``: see `commitment`.
    """

    demand_id: Id
    demand_hash: Sha256
    commitment: Sha256


@dataclass(frozen=True, slots=True)
class Reveal:
    """The window is closed; who is named shows its bid within ``REVEAL_LIMIT_MS``.

    ``commitments``: of every node that has committed, by node id. Signed before any bid is seen.
    """

    demand_id: Id
    commitments: Annotated[Mapping[PeerId, Sha256], Meta(max_length=64)]

    def hash(self) -> str:
        """What the award names: whoever signed for a list, it was this one."""
        return sha256_hex(plain(self))


class BidFault(StrEnum):
    """Why what a node said in an auction does not count."""

    OTHER_TERMS = "other_terms"
    TOO_DEAR = "too_dear"
    NOT_SEALED = "not_sealed"
    NOT_AS_COMMITTED = "not_as_committed"
    NOT_REVEALED = "not_revealed"


def commitment(node_id: str, bid: Bid) -> str:
    """The hash that stands for a bid: of all of it, its nonce, and whose it is.

    The nonce, 32 random bytes, keeps anybody from trying prices; the node id keeps a commitment
    from being another's.
    """
    return sha256_hex({"bid": plain(bid), "node_id": node_id})
