"""Handing on what nodes say: in order for each lane, different lanes at the same time, bounded.

A lane is one lease of a node, or what else the node says, its coming and going included (`rpc`). Nothing
here ever waits for a callback, so that one which hangs delays its own lane only. The bound comes from the
other side: the child sends at most `process.MESSAGE_CREDIT` messages of a lane ahead of what has been
taken, and changes of a node between two messages are merged into one.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from neurogrid_marketplace.envelope import Envelope
from neurogrid_marketplace.messages import Message, parse_body
from neurogrid_telemetry.about import about

from .reports import NodeView

NodeChange = Literal["joined", "left", "heartbeat"]
OnMessage = Callable[[str, Envelope, Message], Awaitable[None]]
OnNode = Callable[[str, NodeChange, NodeView], Awaitable[None]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Said:
    """A message of a node, and whom to tell that it has been dealt with."""

    node_id: str
    envelope: Envelope
    taken: Callable[[], None]


@dataclass(slots=True)
class _Changed:
    """A node's change; a later one is merged into it while it waits."""

    node_id: str
    change: NodeChange
    view: NodeView

    def merge(self, change: NodeChange, view: NodeView) -> None:
        # That a node has joined must not be lost in the heartbeat that follows.
        if not (self.change == "joined" and change == "heartbeat"):
            self.change = change
        self.view = view


class Deliveries:
    """What waits for the callbacks, by lane; a lane's task exists only while something does."""

    def __init__(self, on_message: OnMessage, on_node: OnNode) -> None:
        self._on_message = on_message
        self._on_node = on_node
        self._waiting: dict[str, deque[_Said | _Changed]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def waiting(self) -> int:
        """How many items wait, of all lanes."""
        return sum(len(items) for items in self._waiting.values())

    def said(self, lane: str, node_id: str, envelope: Envelope, taken: Callable[[], None]) -> None:
        """Hand on a message, and call ``taken`` when that is done."""
        self._append(lane, _Said(node_id, envelope, taken))

    def changed(self, node_id: str, change: NodeChange, view: NodeView) -> None:
        """Hand on a change."""
        waiting = self._waiting.get(node_id)
        if waiting and isinstance(last := waiting[-1], _Changed):
            last.merge(change, view)
        else:
            self._append(node_id, _Changed(node_id, change, view))

    async def aclose(self) -> None:
        """Drop what waits, and cancel what is being handed on."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _append(self, lane: str, item: _Said | _Changed) -> None:
        self._waiting.setdefault(lane, deque()).append(item)
        if lane not in self._tasks:
            self._tasks[lane] = asyncio.create_task(self._work(lane))

    async def _work(self, lane: str) -> None:
        waiting = self._waiting[lane]
        try:
            while waiting:
                item = waiting.popleft()
                try:
                    with about(peer=item.node_id):
                        await self._hand_on(item)
                except Exception:  # noqa: BLE001 - the callback's outermost boundary
                    _log.exception("handling what %s said", item.node_id)
        finally:
            del self._waiting[lane], self._tasks[lane]

    async def _hand_on(self, item: _Said | _Changed) -> None:
        if isinstance(item, _Changed):
            await self._on_node(item.node_id, item.change, item.view)
            return
        envelope = item.envelope
        try:
            message = parse_body(envelope.type, envelope.body)
            await self._on_message(item.node_id, envelope, message)
        finally:
            item.taken()
