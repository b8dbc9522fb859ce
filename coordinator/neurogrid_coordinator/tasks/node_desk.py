"""What nodes say, handed to whom it concerns: the two callbacks of the market.

The market calls in order for each lease, and for what else a node says; so each message about a lease is
stored before the next one about it is taken.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.fields import plain
from neurogrid_marketplace.messages import (
    Accept,
    Attach,
    CheckpointTaken,
    Claimed,
    Deny,
    Event,
    EventKind,
    Log,
    Message,
    Meter,
)
from neurogrid_marketplace.offer import LeasePhase, LeaseStatus
from neurogrid_marketplace.task_events import Forgotten
from neurogrid_marketplace.usage import LeaseUsage
from neurogrid_telemetry.about import about

from ..files.checkpoints import CheckpointDesk
from ..market.deliveries import NodeChange
from ..market.reports import NodeView
from ..money.vouchers import VoucherDesk
from ..store import events, tasks, usage
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from . import node_messages
from .attendance import Attendance
from .node_messages import Taken
from .orchestrator import Orchestrator
from .outgoing import Outgoing

# Heartbeats come every five seconds, and sooner where much happens.
_USAGE_INTERVAL_MS = 4_500
_RUNNING = frozenset({LeasePhase.RUNNING, LeasePhase.PAUSED, LeasePhase.STOPPING})


class NodeDesk:
    """Takes what nodes say.

    Args:
        settle: told of each lease whose money may need something.
        found_out: told of each node of which something was found out.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        orchestrator: Orchestrator,
        attendance: Attendance,
        outgoing: Outgoing,
        vouchers: VoucherDesk,
        checkpoints: CheckpointDesk,
        settle: Callable[[str], None],
        found_out: Callable[[str], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._feed = feed
        self._orchestrator = orchestrator
        self._attendance = attendance
        self._outgoing = outgoing
        self._vouchers = vouchers
        self._checkpoints = checkpoints
        self._settle = settle
        self._found_out = found_out
        self._now_ms = now_ms
        self._watching_since_ms = now_ms()
        # node id -> lease id -> what was stored last of its progress.
        self._progress: dict[str, dict[str, tuple[int, str]]] = {}
        # ... and of what its job uses, and when.
        self._usage: dict[str, dict[str, tuple[LeaseUsage, int]]] = {}

    async def on_message(self, node_id: str, envelope: Envelope, message: Message) -> None:
        """A node said something about a lease."""
        with about(lease=getattr(message, "lease_id", ""), peer=node_id):
            await self._take(node_id, envelope, message)

    async def _take(self, node_id: str, envelope: Envelope, message: Message) -> None:
        self._attendance.heard(node_id, self._now_ms())
        write, now_ms = self._orchestrator.write, self._now_ms()
        match message:
            case Event():
                # Unless the store answers, nothing is taken: the node says it again.
                left = message.result.checkpoint if message.result is not None else None
                listed = await self._checkpoints.manifest(left)
                taken = await write(
                    node_messages.take_event,
                    node_id,
                    envelope,
                    message,
                    now_ms,
                    self._watching_since_ms,
                    listed,
                )
                self._answer(node_id, taken)
                if message.kind is EventKind.STARTED:
                    self._found_out(node_id)
            case Meter():
                taken = await write(
                    node_messages.take_meter, node_id, envelope, message, now_ms, self._vouchers
                )
                self._answer(node_id, taken)
            case Log():
                taken = await write(node_messages.take_log, node_id, message, now_ms)
                self._answer(node_id, taken)
            case CheckpointTaken():
                listed = await self._checkpoints.manifest(message.checkpoint)
                taken = await write(node_messages.take_checkpoint, node_id, message, now_ms, listed)
                self._answer(node_id, taken)
                self._feed.notify()
            case Claimed(lease_id):
                taken = await write(node_messages.take_claimed, node_id, envelope, message)
                self._answer(node_id, taken)
                self._settle(lease_id)
            case Attach(lease_id):
                # On a new stream anything may have been lost.
                self._outgoing.reset(lease_id)
                await self._resume(node_id, lease_id, message)
            case Accept(lease_id) | Deny(lease_id):
                # Nobody waits for it any more: it hears where the lease stands now.
                await self._resume(node_id, lease_id)

    async def on_node(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """A node came, went, or said how it is."""
        self._attendance.heard(node_id, view.last_heard_ms)
        if change == "left":
            self._attendance.left(node_id)
            self._progress.pop(node_id, None)
            self._usage.pop(node_id, None)
            self._orchestrator.node_left(node_id)
            return
        # A hello may say anything new: a lower price, a larger machine.
        if self._attendance.became_free(view.offer) or change == "joined":
            self._orchestrator.node_opened(view.offer)
        expected = self._orchestrator.leases_of(node_id)
        for status in view.leases:
            # A lease that we do not expect there may have missed its end.
            unexpected = status.lease_id not in expected
            if unexpected and self._outgoing.may_repeat("resume", status.lease_id):
                await self._resume(node_id, status.lease_id)
        for lease_id in self._attendance.forgotten(view, expected):
            state = self._orchestrator.task_of(lease_id, node_id)
            if state is not None:
                await self._orchestrator.step(state.task.task_id, Forgotten(lease_id))
        await self._note_usage(node_id, view)
        await self._note_progress(node_id, view)

    async def _resume(self, node_id: str, lease_id: str, has: Attach | None = None) -> None:
        resumed = await self._database.read(
            node_messages.resume, node_id, lease_id, self._now_ms(), self._vouchers, has
        )
        self._answer(node_id, resumed.taken)
        for action in resumed.actions:
            self._orchestrator.perform(resumed.task_id, action)

    def _answer(self, node_id: str, taken: Taken) -> None:
        if taken.step is not None:
            self._orchestrator.follow(taken.step)
        for message in taken.answers:
            self._outgoing.tell(node_id, message, is_last=taken.is_last)

    async def _note_usage(self, node_id: str, view: NodeView) -> None:
        before, now_ms = self._usage.get(node_id, {}), self._now_ms()
        noted: dict[str, tuple[LeaseUsage, int]] = {}
        new: list[LeaseStatus] = []
        for status in view.leases:
            if status.usage is None:
                continue
            kept = before.get(status.lease_id)
            soon = kept is not None and now_ms - kept[1] < _USAGE_INTERVAL_MS
            if kept is not None and (kept[0] == status.usage or (soon and _runs(status))):
                noted[status.lease_id] = kept
            else:
                noted[status.lease_id] = (status.usage, now_ms)
                new.append(status)
        self._usage.pop(node_id, None)
        if noted:
            self._usage[node_id] = noted
        if new:
            try:
                await self._database.write(_store_usage, node_id, new, now_ms)
            except Overloaded:
                # The next heartbeat has another one.
                return

    async def _note_progress(self, node_id: str, view: NodeView) -> None:
        before = self._progress.get(node_id, {})
        noted: dict[str, tuple[int, str]] = {}
        changed: list[tuple[str, LeaseStatus]] = []
        for status in view.leases:
            state = self._orchestrator.task_of(status.lease_id, node_id)
            if state is None:
                continue
            noted[status.lease_id] = (status.progress_permille, status.note)
            if before.get(status.lease_id, (0, "")) != noted[status.lease_id]:
                changed.append((state.task.task_id, status))
        if noted:
            self._progress[node_id] = noted
        else:
            self._progress.pop(node_id, None)
        if changed:
            await self._orchestrator.write(_store_progress, changed, self._now_ms())
            self._feed.notify()


def _runs(status: LeaseStatus) -> bool:
    return status.phase in _RUNNING


def _store_usage(conn: Connection, node_id: str, said: list[LeaseStatus], now_ms: int) -> None:
    for status in said:
        assert status.usage is not None, "chosen for that"
        sample = usage.Said(status.lease_id, status.usage, status.memory_peak_bytes)
        usage.add(conn, node_id, sample, now_ms, is_last=not _runs(status))


def _store_progress(conn: Connection, changed: list[tuple[str, LeaseStatus]], now_ms: int) -> None:
    for task_id, status in changed:
        found = tasks.state_of(conn, task_id)
        lease = found.task.lease if found is not None else None
        if found is None or lease is None or lease.lease_id != status.lease_id:
            continue
        tasks.save_progress(conn, task_id, status.progress_permille, status.note)
        events.append(
            conn,
            task_id,
            found.account_id,
            now_ms,
            events.PROGRESS,
            {
                "node_id": lease.node_id,
                "progress_permille": status.progress_permille,
                "note": status.note,
                "metered_ms": status.metered_ms,
                "memory_peak_bytes": status.memory_peak_bytes,
                "usage": None if status.usage is None else plain(status.usage),
            },
        )
