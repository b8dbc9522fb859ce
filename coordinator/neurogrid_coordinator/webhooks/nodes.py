"""Keeps for webhooks what nodes do: their status is no account's event, and is stored for nobody else.

Many changes of a node within a second are one. This is the one event that a kill can lose: what a node does is
in nobody's transaction, and ``GET /nodes`` says how it is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping

from sqlalchemy import Connection

from ..services.nodes import KnownNode, Nodes, NodeWatch, WatcherTooSlow
from ..store import tasks, webhook_deliveries, webhooks
from ..store.database import Database, Overloaded
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.webhooks import WebhookRow

_log = logging.getLogger(__name__)

NODE_STATUS = "node.status"
_GATHER_S = 1.0

# Makes the body: of a webhook, for the delivery with this id, about a node at this moment.
NodeBody = Callable[[WebhookRow, str, KnownNode, int], str]


async def keep_node_status(
    database: Database, nodes: Nodes, feed: Feed, body_of: NodeBody, now_ms: Callable[[], int]
) -> None:
    """For ever; cancel it to stop."""
    while True:
        with contextlib.closing(nodes.watch()) as watch:
            try:
                while True:
                    changed = await _gathered(watch)
                    if await database.write(store_changes, changed, body_of, now_ms()):
                        feed.notify()
            except (WatcherTooSlow, Overloaded) as error:
                _log.warning("webhooks miss changes of nodes: %s", error or "too many at once")


async def _gathered(watch: NodeWatch) -> dict[str, KnownNode]:
    """What has changed within a second of the next change: of each node the newest."""
    first = await anext(watch)
    changed = {first.view.offer.node_id: first}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GATHER_S):
            async for node in watch:
                changed[node.view.offer.node_id] = node
    return changed


def store_changes(
    conn: Connection, changed: Mapping[str, KnownNode], body_of: NodeBody, now_ms: int
) -> int:
    """Keep changes for the webhooks that want them; how many deliveries that makes.

    A webhook that names nodes is told of those; another one of the nodes that have a task of its account.
    """
    made = 0
    for webhook in webhooks.listening_anywhere(conn, NODE_STATUS):
        near = set(webhook.filter.about) or tasks.nodes_at_work(conn, webhook.account_id)
        for node_id in near & changed.keys():
            if not webhook.filter.admits({node_id}, None):
                continue
            delivery_id = new_id("delivery")
            webhook_deliveries.add(
                conn,
                webhook,
                kind=NODE_STATUS,
                subject_id=node_id,
                at_ms=now_ms,
                delivery_id=delivery_id,
                body=body_of(webhook, delivery_id, changed[node_id], now_ms),
            )
            made += 1
    return made
