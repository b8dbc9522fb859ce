"""The market's nodes: who is there, who was, and what each has done through this coordinator."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import Connection

from neurogrid_marketplace.attributes import NodeFacts
from neurogrid_marketplace.constraints import misses
from neurogrid_marketplace.demand import Demand
from neurogrid_marketplace.judgement import node_can_judge
from neurogrid_marketplace.offer import Offer
from neurogrid_marketplace.reputation import SHADOW_KINDS, FindingKind, Reputation
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.standing import Standing
from neurogrid_marketplace.task import Phase
from neurogrid_telemetry.log_lines import named

from ..log_events import CoordinatorEvent
from ..market.deliveries import NodeChange
from ..market.reports import NodeView
from ..store import challenges, findings, leases, task_lists
from ..store.database import Database
from ..store.findings import StoredFinding
from ..store.task_lists import TaskFilter
from ..trust.standings import reputation_of_node
from .errors import NotFound

_log = logging.getLogger(__name__)

LIST_MAX = 100
# Nodes that left are remembered so long as there is room; a restart forgets them.
_LEFT_MAX = 10_000
# Changes that one watcher has not taken yet. A watcher that is further behind has lost track of the
# market and starts anew.
_WATCH_MAX = 1_000
# Nodes reconnect within seconds; with the longest pause of their back-off, within this.
_RETURN_S = 60.0
_LEASES_PAGE = 500
_MONTH_MS = 30 * 24 * 3_600_000


class NodeStatus(StrEnum):
    """Document 002's words."""

    ONLINE = "online"
    OFFLINE = "offline"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class KnownNode:
    """A node and how it is; its standing is None where it is not known."""

    view: NodeView
    status: NodeStatus
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """How much of what the connected nodes offer is taken, percent; 0 where nothing is offered."""

    gpus_percent: float
    memory_percent: float


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """What a node did here. Amounts in micro-USDC, the market's fee included."""

    tasks_completed: int
    earned_micro_usdc: int
    earned_30_days_micro_usdc: int


@dataclass(frozen=True, slots=True)
class NodeReputation:
    """A node's score and where it comes from.

    Attributes:
        counts: findings ever made, by kind.
        completed: runs that it completed.
        stake_micro_usdc: None where it is not known.
    """

    reputation: Reputation
    counts: Mapping[FindingKind, int]
    completed: int
    stake_micro_usdc: int | None

    @property
    def verified_share(self) -> float | None:
        """Which part of its completed runs was verified, 0 to 1; None before any."""
        if not self.completed:
            return None
        return min(1.0, round(self.counts[FindingKind.VERIFIED] / self.completed, 3))


@dataclass(frozen=True, slots=True)
class NodePage:
    """Some nodes; ``total`` counts all that match."""

    nodes: tuple[KnownNode, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Left:
    """A node's last words; ``at_s``: monotonic."""

    view: NodeView
    at_s: float


class WatcherTooSlow(Exception):
    """A watcher took too long over what it was told; it has missed changes."""


class Nodes:
    """What clients may know about nodes; told by the market through `on_node`.

    Args:
        standing_of: what is known of a connected node beside its offer.
        challenges_scored: whether what comes of challenges counts in scores.
    """

    def __init__(
        self,
        database: Database,
        standing_of: Callable[[str], Standing | None],
        *,
        challenges_scored: bool,
    ) -> None:
        self._database = database
        self._standing_of = standing_of
        self._challenges_scored = challenges_scored
        self._started_s = time.monotonic()
        self._connected: dict[str, NodeView] = {}
        self._left: OrderedDict[str, _Left] = OrderedDict()
        self._watches: set[NodeWatch] = set()

    async def on_node(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """A node joined, spoke, or left."""
        before = self._known(node_id)
        if change == "left":
            self._connected.pop(node_id, None)
            self._left[node_id] = _Left(view, time.monotonic())
            self._left.move_to_end(node_id)
            if len(self._left) > _LEFT_MAX:
                self._left.popitem(last=False)
        else:
            self._left.pop(node_id, None)
            self._connected[node_id] = view
        now = self._known(node_id)
        assert now is not None, "just entered"
        if before is None or before.status is not now.status:
            _log.info(
                "node %s is %s",
                node_id,
                now.status,
                extra=named(CoordinatorEvent.NODE_STATUS, status=now.status),
            )
            self._tell(now)

    def list(
        self,
        *,
        status: NodeStatus | None = None,
        region: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> NodePage:
        """Nodes that fit, in the order of their ids."""
        fit = [
            node
            for node in self.known()
            if (status is None or node.status is status)
            and (region is None or node.view.offer.region == region)
        ]
        fit.sort(key=lambda node: node.view.offer.node_id)
        return NodePage(tuple(fit[offset : offset + min(limit, LIST_MAX)]), len(fit))

    def known(self) -> Iterator[KnownNode]:
        """All that are connected, and those that left since we started, in no order."""
        for node_id, view in self._connected.items():
            yield KnownNode(view, _status(view), self._standing_of(node_id))
        for left in self._left.values():
            yield KnownNode(left.view, NodeStatus.OFFLINE)

    async def get(self, node_id: str) -> tuple[KnownNode, NodeRecord]:
        """One node and its record.

        Raises:
            NotFound: it is not connected, and was not since we started.
        """
        node = self._known(node_id)
        if node is None:
            raise NotFound(f"no node {node_id[:80]} is known", {"node_id": node_id[:80]})
        since_ms = time.time_ns() // 1_000_000 - _MONTH_MS
        record = await self._database.read(lambda conn: _record(conn, node_id, since_ms))
        return node, record

    async def reputation(self, node_id: str) -> NodeReputation:
        """A node's score, explained.

        Raises:
            NotFound: it is not known, and nothing was ever found out about it.
        """
        now_ms = time.time_ns() // 1_000_000

        def read(conn: Connection) -> tuple[Reputation, dict[FindingKind, int], int]:
            reputation = reputation_of_node(
                conn, node_id, now_ms, challenges_scored=self._challenges_scored
            )
            return reputation, findings.count_by_kind(conn, node_id), _completed(conn, node_id)

        reputation, counts, completed = await self._database.read(read)
        if self._known(node_id) is None and not any(counts.values()):
            raise NotFound(f"no node {node_id[:80]} is known", {"node_id": node_id[:80]})
        standing = self._standing_of(node_id)
        stake = standing.stake_micro_usdc if standing else None
        return NodeReputation(reputation, counts, completed, stake)

    async def evidence(self, node_id: str, limit: int) -> Sequence[StoredFinding]:
        """What was found out about a node's hardware, newest first; empty if nothing was."""
        return await self._database.read(
            lambda conn: findings.of_node(conn, node_id, kinds=SHADOW_KINDS, limit=limit)
        )

    async def challenge_evidence(self, challenge_id: str) -> bytes:
        """The signed file of a challenge, byte for byte.

        Raises:
            NotFound: there is no such challenge, it has not ended, it said nothing, or newer ones of
                the node took its place.
        """
        data = await self._database.read(challenges.evidence, challenge_id)
        if data is None:
            raise NotFound(
                f"there is no evidence of a challenge {challenge_id[:64]!r}",
                {"challenge_id": challenge_id[:64]},
            )
        return data

    def connected_count(self) -> int:
        """How many are connected now."""
        return len(self._connected)

    def connected_ids(self) -> frozenset[str]:
        """All that are connected now."""
        return frozenset(self._connected)

    def offer(self, node_id: str) -> Offer | None:
        """What a node offers; None if it is not connected."""
        view = self._connected.get(node_id)
        return None if view is None else view.offer

    def views(self) -> Sequence[NodeView]:
        """All that are connected, in the order of their ids."""
        return [self._connected[node_id] for node_id in sorted(self._connected)]

    def offers(self) -> Sequence[Offer]:
        """What all that are connected offer, in the order of their ids."""
        return [view.offer for view in self.views()]

    async def is_ready(self, node_id: str, lease_id: str) -> bool:
        """Whether a lease's service was well, by its node's latest word."""
        view = self._connected.get(node_id)
        return view is not None and any(
            status.ready for status in view.leases if status.lease_id == lease_id
        )

    def load(self) -> Load:
        """How much of what the connected nodes offer is taken."""
        offers = [view.offer for view in self._connected.values()]
        return Load(
            gpus_percent=_taken(
                sum(len(offer.total.gpus) for offer in offers),
                sum(len(offer.free.gpus) for offer in offers),
            ),
            memory_percent=_taken(
                sum(offer.total.memory_bytes for offer in offers),
                sum(offer.free.memory_bytes for offer in offers),
            ),
        )

    def score_permille(self, node_id: str) -> int:
        """What a node's reputation is worth now, 1000 at best; 0 where it is not known."""
        standing = self._standing_of(node_id)
        return 0 if standing is None else standing.score_permille

    def memory_peak_bytes(self, node_id: str, lease_id: str) -> int:
        """The most memory that a lease's job has had, by its node's latest word; 0 for none."""
        view = self._connected.get(node_id)
        peaks = (
            status.memory_peak_bytes
            for status in (() if view is None else view.leases)
            if status.lease_id == lease_id
        )
        return next(peaks, 0)

    def may_return(self, demand: Demand) -> bool:
        """Whether a node that was here a moment ago could serve this.

        After a restart of ours nobody is here yet, and that says nothing: unknown is not dead.
        """
        now_s = time.monotonic()
        if not self._connected and not self._left:
            return now_s - self._started_s < _RETURN_S
        gone = (left.view.offer for left in self._left.values() if now_s - left.at_s < _RETURN_S)
        # Its standing is forgotten while it is away: what hangs on that is no reason to refuse.
        asked = replace(demand, where=tuple(filter(node_can_judge, demand.where)))
        return any(not misses(NodeFacts(offer, asked)) for offer in gone)

    def watch(self) -> "NodeWatch":
        """Changes of status from now on; close it in the end."""
        watch = NodeWatch(self._watches.discard)
        self._watches.add(watch)
        return watch

    def _known(self, node_id: str) -> KnownNode | None:
        view = self._connected.get(node_id)
        if view is not None:
            return KnownNode(view, _status(view), self._standing_of(node_id))
        left = self._left.get(node_id)
        return KnownNode(left.view, NodeStatus.OFFLINE) if left else None

    def _tell(self, node: KnownNode) -> None:
        for watch in list(self._watches):
            watch.tell(node)


class NodeWatch:
    """One watcher's changes; `async for` takes them.

    Raises:
        WatcherTooSlow: while iterating, after too many were not taken.
    """

    def __init__(self, forget: "Callable[[NodeWatch], None]") -> None:
        self._forget = forget
        self._queue: asyncio.Queue[KnownNode | None] = asyncio.Queue(_WATCH_MAX)

    def tell(self, node: KnownNode) -> None:
        """A node has changed."""
        if self._queue.full():
            # What it has not taken makes room for the news that it is too late.
            self._queue.get_nowait()
            self._queue.put_nowait(None)
            self.close()
        else:
            self._queue.put_nowait(node)

    def close(self) -> None:
        """Take no more changes."""
        self._forget(self)

    def __aiter__(self) -> "NodeWatch":
        return self

    async def __anext__(self) -> KnownNode:
        node = await self._queue.get()
        if node is None:
            raise WatcherTooSlow
        return node


def _taken(total: int, free: int) -> float:
    return round(100 * (total - free) / total, 1) if total else 0.0


def _status(view: NodeView) -> NodeStatus:
    """Busy: it takes nothing more, or has no whole core or no GPU left of those it offers."""
    offer = view.offer
    exhausted = offer.free.cpu_millis < min(1000, offer.total.cpu_millis) or (
        bool(offer.total.gpus) and not offer.free.gpus
    )
    return NodeStatus.BUSY if exhausted or not offer.accepting else NodeStatus.ONLINE


def _record(conn: Connection, node_id: str, since_ms: int) -> NodeRecord:
    total = recent = offset = 0
    while True:
        page = leases.of_node(conn, node_id, limit=_LEASES_PAGE, offset=offset)
        for lease in page:
            if lease.settlement.phase is SettlementPhase.CLOSED:
                total += lease.settlement.paid_micro_usdc
                if lease.settlement.since_ms >= since_ms:
                    recent += lease.settlement.paid_micro_usdc
        if len(page) < _LEASES_PAGE:
            break
        offset += _LEASES_PAGE
    return NodeRecord(_completed(conn, node_id), total, recent)


def _completed(conn: Connection, node_id: str) -> int:
    which = TaskFilter(node_id=node_id, phases=frozenset({Phase.COMPLETED}), further_runs=True)
    return task_lists.count(conn, which)
