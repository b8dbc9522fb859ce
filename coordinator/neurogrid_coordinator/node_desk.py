"""What nodes say, handed to whom it concerns: the two callbacks of the market.

The market calls in order for each lease, and for what else a node says; so each message about a lease is
stored before the next one about it is taken.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import (
    Accept,
    Attach,
    Claimed,
    Deny,
    Event,
    EventKind,
    Log,
    Message,
    Meter,
)
from neurogrid_marketplace.offer import LeaseStatus
from neurogrid_marketplace.task_events import Forgotten

from . import node_messages
from .attendance import Attendance
from .market.deliveries import NodeChange
from .market.reports import NodeView
from .node_messages import Taken
from .orchestrator import Orchestrator
from .outgoing import Outgoing
from .store import events, tasks
from .store.database import Database
from .store.feed import Feed
from .vouchers import VoucherDesk


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
        self._settle = settle
        self._found_out = found_out
        self._now_ms = now_ms
        self._watching_since_ms = now_ms()
        # node id -> lease id -> what was stored last of its progress.
        self._progress: dict[str, dict[str, tuple[int, str]]] = {}

    async def on_message(self, node_id: str, envelope: Envelope, message: Message) -> None:
        """A node said something about a lease."""
        self._attendance.heard(node_id, self._now_ms())
        write, now_ms = self._orchestrator.write, self._now_ms()
        match message:
            case Event():
                taken = await write(
                    node_messages.take_event,
                    node_id,
                    envelope,
                    message,
                    now_ms,
                    self._watching_since_ms,
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
            return
        if self._attendance.became_free(view.offer):
            self._orchestrator.nodes_changed()
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
            },
        )
