"""The same GPU at two nodes: one of them has not what it offers, or both sell it.

A finding of both, recorded and shown; whether it counts, the operator says (`trust.score_challenges`):
a UUID can be copied, and which of the two has done so it does not say.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_marketplace.reputation import Finding, FindingKind

from ..market.deliveries import NodeChange
from ..market.reports import NodeView
from ..store import findings
from ..store.database import Database

# Of a GPU at many nodes, each newcomer is held against so many: a crowd must not fill the database.
_OTHERS_MAX = 8
_SHARED = frozenset({FindingKind.GPU_SHARED})


class GpuSightings:
    """Which connected node offers which GPU, by the driver's UUID.

    Args:
        found_out: told of each node about which a finding was stored.
    """

    def __init__(
        self, *, database: Database, found_out: Callable[[str], None], now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._found_out = found_out
        self._now_ms = now_ms
        self._gpus: dict[str, frozenset[str]] = {}
        self._nodes: dict[str, set[str]] = {}

    async def on_node(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """A node came, went, or said how it is."""
        offered: frozenset[str] = frozenset()
        if change != "left":
            offered = frozenset(gpu.uuid for gpu in view.offer.total.gpus)
        before = self._gpus.pop(node_id, frozenset())
        if offered:
            self._gpus[node_id] = offered
        for uuid in before - offered:
            self._nodes[uuid].discard(node_id)
            if not self._nodes[uuid]:
                del self._nodes[uuid]
        for uuid in offered - before:
            others = self._nodes.setdefault(uuid, set())
            for other in sorted(others)[:_OTHERS_MAX]:
                for one, the_other in ((node_id, other), (other, node_id)):
                    details: dict[str, Json] = {"gpu": uuid, "also_at": the_other}
                    stored = await self._database.write(_add_once, one, details, self._now_ms())
                    if stored:
                        self._found_out(one)
            others.add(node_id)


def _add_once(conn: Connection, node_id: str, details: dict[str, Json], now_ms: int) -> bool:
    """Remember it, unless it is remembered already: nodes reconnect again and again."""
    known = findings.of_node(conn, node_id, kinds=_SHARED)
    if any(stored.details == details for stored in known):
        return False
    return findings.add(conn, node_id, Finding(FindingKind.GPU_SHARED, now_ms), details=details)
