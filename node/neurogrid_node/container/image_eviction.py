"""Which fetched images go: those whose last use is longest ago, until few enough bytes are kept. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptImage:
    """A name that this node has fetched, or that its owner has pinned.

    Attributes:
        name: in full (`ImageName.reference`).
        image_id: what it stands for here; "" while it is fetched.
        size_bytes: unpacked; layers that it shares with others count in each.
        brought: whether it came by this node: nothing else is ever removed.
        pinned: whether its owner has said that it stays.
        private: whether it took somebody's credentials to fetch it.
        used_at_ms: when a lease last had it, Unix time; of one that none has had, when it came.
        holders: leases that have it now.
    """

    name: str
    image_id: str
    size_bytes: int
    brought: bool
    pinned: bool
    private: bool
    used_at_ms: int
    holders: tuple[str, ...] = ()

    @property
    def may_go(self) -> bool:
        """Whether nobody needs it."""
        return bool(self.brought and self.image_id and not self.pinned and not self.holders)


def kept_bytes(images: Iterable[KeptImage]) -> int:
    """What this node's own images take: each once, whatever names it has."""
    return sum({each.image_id: each.size_bytes for each in images if each.brought}.values())


def leaving(images: Iterable[KeptImage], limit_bytes: int, freed_bytes: int = 0) -> list[KeptImage]:
    """The names to be removed, so that at most ``limit_bytes`` are kept and ``freed_bytes`` become free.

    An image goes with all of its names or not at all; fewer go where others are needed.
    """
    images = list(images)
    by_id: dict[str, list[KeptImage]] = {}
    for each in images:
        by_id.setdefault(each.image_id, []).append(each)
    loose = [names for names in by_id.values() if all(each.may_go for each in names)]
    loose.sort(key=lambda names: (max(each.used_at_ms for each in names), names[0].name))
    kept = kept_bytes(images)
    aim = min(limit_bytes, kept - freed_bytes)
    gone: list[KeptImage] = []
    for names in loose:
        if kept <= aim:
            break
        kept -= names[0].size_bytes
        gone += names
    return gone
