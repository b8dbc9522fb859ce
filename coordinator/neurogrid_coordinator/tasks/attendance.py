"""Who is there: when nodes were last heard, what they have forgotten, whether they became free.

All in memory, and forgiving: a coordinator that has just started, whose market process is away, or
whose machine slept knows nothing, and unknown is not dead.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.resources import Capacity

from ..market.reports import NodeView

# A node lists every lease in every heartbeat. One that it leaves out although it took it so long
# ago, and leaves out for as long again, is gone: three heartbeats each.
_FORGOTTEN_MS = 15_000
# Two looks at the clock that lie further apart than this: the process, or the machine, slept.
_NAP_MS = 10_000


@dataclass(slots=True)
class _Free:
    capacity: Capacity
    accepting: bool
    reclaimable: Capacity | None


class Attendance:
    """What is known about the nodes' presence since this process started."""

    def __init__(self, now_ms: int) -> None:
        # Nothing from before this moment counts as silence.
        self._since_ms = now_ms
        self._looked_at_ms = now_ms
        self._market_pid: int | None = None
        self._heard_ms: dict[str, int] = {}
        self._free: dict[str, _Free] = {}
        # Nodes that a lease has left since they said what is free.
        self._left_by_lease: set[str] = set()
        # node id -> lease id -> since when it is missing.
        self._missing_since_ms: dict[str, dict[str, int]] = {}

    def look(self, market_pid: int | None, now_ms: int) -> None:
        """Call it often: silence counts only while the market process and this one were awake."""
        napped = now_ms - self._looked_at_ms > _NAP_MS or now_ms < self._looked_at_ms
        if napped or market_pid is None or market_pid != self._market_pid:
            self._since_ms = now_ms
        self._looked_at_ms = now_ms
        self._market_pid = market_pid

    def heard(self, node_id: str, at_ms: int) -> None:
        """The node said something."""
        self._heard_ms[node_id] = max(at_ms, self._heard_ms.get(node_id, 0))

    def heard_ms(self, node_id: str) -> int:
        """When the node last spoke, or since when we could have heard it."""
        return max(self._since_ms, self._heard_ms.get(node_id, 0))

    def lease_ended(self, node_id: str) -> None:
        """A lease has left the node, which may have come and gone between two of its words."""
        if node_id in self._free:
            self._left_by_lease.add(node_id)

    def became_free(self, offer: Offer) -> bool:
        """Whether the node has more to give than when this was last asked; a new one has."""
        node_id = offer.node_id
        before = self._free.get(node_id)
        self._free[node_id] = _Free(offer.free, offer.accepting, offer.reclaimable)
        if before is None or not before.accepting or not offer.accepting:
            return offer.accepting
        had_lease = node_id in self._left_by_lease
        self._left_by_lease.discard(node_id)
        return (
            had_lease
            or _has_more(offer.free, before.capacity)
            or _has_more(offer.reclaimable or offer.free, before.reclaimable or before.capacity)
        )

    def forgotten(self, view: NodeView, since_ms: Mapping[str, int]) -> list[str]:
        """Leases that the node took, and has not known for a while now.

        Args:
            since_ms: lease id -> when the node was known to have it, of all it should have.
        """
        node_id, now_ms = view.offer.node_id, view.last_heard_ms
        known = {status.lease_id for status in view.leases}
        before = self._missing_since_ms.pop(node_id, {})
        missing = {
            lease_id: before.get(lease_id, now_ms)
            for lease_id, taken_ms in since_ms.items()
            if lease_id not in known and now_ms - taken_ms >= _FORGOTTEN_MS
        }
        if missing:
            self._missing_since_ms[node_id] = missing
        return [lease for lease, first in missing.items() if now_ms - first >= _FORGOTTEN_MS]

    def left(self, node_id: str) -> None:
        """The node's connection ended; when it was heard still counts."""
        self._free.pop(node_id, None)
        self._left_by_lease.discard(node_id)
        self._missing_since_ms.pop(node_id, None)

    def forget(self, keep: frozenset[str]) -> None:
        """Drop what is known of nodes that are neither connected nor in ``keep``."""
        for node_id in self._heard_ms.keys() - keep - self._free.keys():
            del self._heard_ms[node_id]


def _has_more(now: Capacity, before: Capacity) -> bool:
    return (
        now.cpu_millis > before.cpu_millis
        or now.memory_bytes > before.memory_bytes
        or now.disk_bytes > before.disk_bytes
        or len(now.gpus) > len(before.gpus)
    )
