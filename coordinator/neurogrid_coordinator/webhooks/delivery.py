"""Delivers what is due to webhooks: the asyncio shell around `webhook_schedule`.

A delivery is taken by moving on the moment at which somebody else may take it, in the transaction that fixes its
body; then it is sent, and what came of it is stored. Who is killed in between has sent it or not, and in half a
minute somebody sends it again under the same id. Several coordinators on one database share the work.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.canonical import Json
from neurogrid_telemetry.log_lines import named

from ..log_events import CoordinatorEvent
from ..store import events, webhook_deliveries, webhooks
from ..store.database import Database, Overloaded
from ..store.feed import Changed, Feed
from ..store.webhook_deliveries import AttemptRow, DeliveryRow, DeliveryState
from ..store.webhooks import WebhookRow, WebhookState
from .message import headers_of
from .schedule import ABANDONED_AFTER_MS, WAITING_AGE_MAX_MS, Fate, Outcome, decide, overfull
from .sender import WebhookSender

_log = logging.getLogger(__name__)

# Looked so often where nothing is heard of: retries come due, and others write to the database too.
LOOK_S = 1.0
# Between two looks, however much happens.
_PAUSE_S = 0.05
_SWEEP_S = 60.0
# At a time: in all, and of each webhook, host and account, so that a slow one delays only itself.
_AT_ONCE = 64
_PER_WEBHOOK = 4
_PER_HOST = 8
_PER_ACCOUNT = 16
# What is kept of deliveries that have ended.
_KEPT = 1_000
_SWEEP_ROWS = 1_000

# Makes the body of a delivery whose event is stored; "" where it is not any more.
BodyOf = Callable[[Connection, WebhookRow, DeliveryRow], str]


@dataclass(frozen=True, slots=True)
class Taken:
    """An attempt that has begun."""

    webhook: WebhookRow
    delivery: DeliveryRow
    number: int
    body: str


class WebhookDelivery:
    """Delivers; one per process.

    Args:
        body_of: see `BodyOf`.
        now_ms: the clock.
    """

    def __init__(
        self,
        *,
        database: Database,
        feed: Feed,
        sender: WebhookSender,
        body_of: BodyOf,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._feed = feed
        self._sender = sender
        self._body_of = body_of
        self._now_ms = now_ms
        self._busy: dict[asyncio.Task[None], WebhookRow] = {}

    async def run(self) -> None:
        """For ever; cancel it to stop."""
        loop = asyncio.get_running_loop()
        sweep_at_s = loop.time()
        async with asyncio.TaskGroup() as group, self._feed.subscribe() as changed:
            while True:
                try:
                    if loop.time() >= sweep_at_s:
                        sweep_at_s = loop.time() + _SWEEP_S
                        await self.sweep()
                    for taken in await self.take():
                        task = group.create_task(self.deliver(taken))
                        self._busy[task] = taken.webhook
                        task.add_done_callback(lambda task: self._done(task, changed))
                except Overloaded:
                    _log.debug("the database has more urgent things to do")
                await asyncio.sleep(_PAUSE_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await changed.wait()

    def _done(self, task: "asyncio.Task[None]", changed: Changed) -> None:
        self._busy.pop(task, None)
        changed.notify()

    async def take(self) -> list[Taken]:
        """Begin attempts of what is due, as many as there is room for."""
        free = _AT_ONCE - len(self._busy)
        if free <= 0:
            return []
        if await self._database.read_briefly(webhook_deliveries.are_idle):
            return []
        # A look costs a reader what it costs; the writer is asked only where there is something.
        if not await self._database.read(self._due, free):
            return []
        return await self._database.write(self._take, free)

    def _due(self, conn: Connection, free: int) -> list[tuple[str, str, str]]:
        hosts, accounts = self._counts()
        return webhook_deliveries.due_webhooks(
            conn,
            self._now_ms(),
            but_hosts=[host for host, count in hosts.items() if count >= _PER_HOST],
            but_accounts=[each for each, count in accounts.items() if count >= _PER_ACCOUNT],
            limit=free,
        )

    def _take(self, conn: Connection, free: int) -> list[Taken]:
        now_ms = self._now_ms()
        hosts, accounts = self._counts()
        own = Counter(webhook.id for webhook in self._busy.values())
        taken: list[Taken] = []
        for webhook_id, host, account_id in self._due(conn, free):
            room = min(
                free - len(taken),
                _PER_WEBHOOK - own[webhook_id],
                _PER_HOST - hosts[host],
                _PER_ACCOUNT - accounts[account_id],
            )
            if room <= 0:
                continue
            # The webhook first, as all who change both do: no two wait for each other.
            webhook = webhooks.of_id(conn, webhook_id)
            assert webhook is not None, "a delivery refers to its webhook"
            for row in webhook_deliveries.due_of(conn, webhook_id, now_ms, room):
                begun = self._begin(conn, webhook, row, now_ms)
                if begun is not None:
                    taken.append(begun)
                    hosts[host] += 1
                    accounts[account_id] += 1
        return taken

    def _begin(
        self, conn: Connection, webhook: WebhookRow, row: DeliveryRow, now_ms: int
    ) -> Taken | None:
        body = row.body or self._body_of(conn, webhook, row)
        # Without a body its event is gone; at the limit, whoever made the last attempt died in it.
        if not body or row.attempts >= row.attempts_max:
            webhook_deliveries.end(conn, row.id, DeliveryState.FAILED, now_ms)
            return None
        number = webhook_deliveries.begin_attempt(
            conn, row, body, now_ms, now_ms + ABANDONED_AFTER_MS
        )
        return Taken(webhook, row, number, body)

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        hosts = Counter(webhook.host for webhook in self._busy.values())
        accounts = Counter(webhook.account_id for webhook in self._busy.values())
        return hosts, accounts

    async def deliver(self, taken: Taken) -> None:
        """Send it, and store what came of it."""
        began_s = time.monotonic()
        webhook, delivery = taken.webhook, taken.delivery
        headers = headers_of(
            webhook,
            delivery_id=delivery.id,
            kind=delivery.kind,
            attempt=taken.number,
            body=taken.body,
            sent_at_s=self._now_ms() // 1000,
        )
        outcome = await self._sender.send(webhook.url, headers, taken.body)
        took_ms = int((time.monotonic() - began_s) * 1000)
        try:
            disabled = await self._database.write(self._store, taken, outcome, took_ms)
        except Overloaded:
            # As if we had died here: it is sent again.
            _log.warning("what came of %s could not be stored", delivery.id)
            return
        if disabled:
            _log.info(
                "webhook %s is disabled",
                webhook.id,
                extra=named(CoordinatorEvent.WEBHOOK_DISABLED, webhook=webhook.id),
            )
            self._feed.notify()

    def _store(self, conn: Connection, taken: Taken, outcome: Outcome, took_ms: int) -> bool:
        now_ms = self._now_ms()
        webhook = webhooks.of_id(conn, taken.webhook.id)
        attempt = AttemptRow(
            taken.number, now_ms, took_ms, outcome.status, outcome.error, outcome.answer
        )
        row = webhook_deliveries.end_attempt(conn, taken.delivery.id, attempt)
        if row is None or webhook is None:
            return False
        verdict = decide(
            webhook,
            row.id,
            attempts=taken.number,
            attempts_max=row.attempts_max,
            outcome=outcome,
            now_ms=now_ms,
        )
        match verdict.fate:
            case Fate.RETRY:
                webhook_deliveries.try_again(conn, row.id, verdict.again_at_ms)
            case Fate.DELIVERED:
                webhook_deliveries.end(conn, row.id, DeliveryState.DELIVERED, now_ms)
            case Fate.FAILED:
                webhook_deliveries.end(conn, row.id, DeliveryState.FAILED, now_ms)
        webhooks.save(conn, verdict.webhook)
        if verdict.is_disabled:
            _give_up(conn, verdict.webhook, now_ms)
        return verdict.is_disabled

    async def sweep(self) -> None:
        """Give up what has waited too long or is too much; delete what is old."""
        for webhook_id, waiting, oldest_ms in await self._database.read(
            webhook_deliveries.waiting_counts
        ):
            await self._database.write(self._bound, webhook_id, waiting, oldest_ms)
        for webhook_id in await self._database.read(webhook_deliveries.webhooks_beyond, _KEPT):
            while (
                await self._database.write(
                    webhook_deliveries.delete_beyond, webhook_id, _KEPT, _SWEEP_ROWS
                )
                == _SWEEP_ROWS
            ):
                pass
        while await self._database.write(webhooks.sweep_deleted, _SWEEP_ROWS) == _SWEEP_ROWS:
            pass

    def _bound(self, conn: Connection, webhook_id: str, waiting: int, oldest_ms: int) -> None:
        now_ms = self._now_ms()
        webhook = webhooks.of_id(conn, webhook_id)
        if webhook is None or webhook.state is WebhookState.DELETED:
            return
        if oldest_ms < now_ms - WAITING_AGE_MAX_MS:
            webhook_deliveries.fail_waiting(conn, webhook_id, now_ms, now_ms - WAITING_AGE_MAX_MS)
        disabled = overfull(webhook, waiting, now_ms)
        if disabled is not None:
            webhooks.save(conn, disabled)
            _give_up(conn, disabled, now_ms)


def _give_up(conn: Connection, webhook: WebhookRow, now_ms: int) -> None:
    """What follows from a webhook's being disabled: nothing waits for it, and its owner is told elsewhere."""
    webhook_deliveries.fail_waiting(conn, webhook.id, now_ms, None)
    data: dict[str, Json] = {
        "code": "WEBHOOK_DISABLED",
        "level": "warning",
        "message": f"the webhook to {webhook.host} is disabled: {webhook.reason}",
        "webhook_id": webhook.id,
    }
    events.append(conn, webhook.id, webhook.account_id, now_ms, "system.alert", data)
