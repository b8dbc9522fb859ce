"""Lists of peers that may connect, and of those that may not, as an owner writes them into a file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.identity import public_key_of

MAX_LISTED = 4096
_MAX_REASON_CHARS = 200


@dataclass(frozen=True, slots=True)
class PeerLists:
    """Peers that may connect, and peers that may not.

    Attributes:
        allow: the only ones that may; empty: all.
        deny: peer id -> why not. It counts before ``allow``.
    """

    allow: frozenset[str] = frozenset()
    deny: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, allow: Iterable[str], deny: Iterable[str]) -> Self:
        """Read lists as they stand in a file: a peer id each; one that is denied may have words after it.

        Raises:
            InvalidValue: no peer id, or too much.
        """
        reasons = {}
        for line in deny:
            peer_id, _, reason = line.partition(" ")
            if len(reason) > _MAX_REASON_CHARS:
                raise InvalidValue(f"deny: a reason has at most {_MAX_REASON_CHARS} characters")
            reasons[_peer_id(peer_id)] = reason.strip()
        lists = cls(frozenset(_peer_id(line) for line in allow), reasons)
        if len(lists.allow) > MAX_LISTED or len(lists.deny) > MAX_LISTED:
            raise InvalidValue(f"a list has at most {MAX_LISTED} peers")
        return lists

    def refusal(self, peer_id: str) -> str | None:
        """Why a peer may not be connected, in words; None if it may."""
        if peer_id in self.deny:
            return f"denied: {self.deny[peer_id] or 'no reason given'}"
        if self.allow and peer_id not in self.allow:
            return "not on the list of those who may connect"
        return None


def _peer_id(text: str) -> str:
    public_key_of(text)
    return text
