"""What became of telling a webhook, and telling it by hand: tests, and deliveries that are sent again."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from ..outbound import Outbound
from ..store import webhook_deliveries
from ..store.accounts import Account
from ..store.database import Database
from ..store.feed import Feed
from ..store.ids import new_id
from ..store.webhook_deliveries import AttemptRow, DeliveryRow, DeliveryState
from ..webhooks.message import body_of
from .errors import Conflict, NotFound
from .webhooks import LIST_MAX, kinds_named, owned, require_outbound

# Tests and redeliveries of one webhook that have not ended.
_BY_HAND_MAX = 20
# However often a delivery is sent again.
_ATTEMPTS_EVER_MAX = 100

_ID = re.compile(r"delivery_[0-9a-f]{32}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries; ``total`` counts all that were asked for."""

    rows: tuple[DeliveryRow, ...]
    total: int


class WebhookDeliveries:
    """What an account sees of its webhooks' deliveries, and sends by hand.

    Args:
        outbound: None where the operator lets no webhook be told.
        iso: writes a moment of Unix milliseconds for clients.
    """

    def __init__(
        self,
        database: Database,
        feed: Feed,
        outbound: Outbound | None,
        iso: Callable[[int], str],
    ) -> None:
        self._database = database
        self._feed = feed
        self._outbound = outbound
        self._iso = iso

    async def test(self, account: Account, webhook_id: str, kind: str) -> DeliveryRow:
        """Send it a made-up event, once, also where it is paused or disabled.

        Raises:
            InvalidRequest: there is no such event.
            NotFound: see `Webhooks.get`.
            Conflict: too many tests and redeliveries are under way.
            Unavailable: the operator lets no webhook be told.
        """
        require_outbound(self._outbound)
        name = kinds_named((kind,), "event")[0]

        def add(conn: Connection) -> DeliveryRow:
            row = owned(conn, account, webhook_id)
            _require_room(conn, webhook_id)
            now_ms = _now_ms()
            delivery_id = new_id("delivery")
            body = body_of(
                delivery_id=delivery_id,
                webhook_id=row.id,
                kind=name,
                created_at=self._iso(now_ms),
                data={"type": name, "message": "This is a test: nothing has happened."},
                is_test=True,
            )
            return webhook_deliveries.add(
                conn,
                row,
                kind=name,
                subject_id=row.id,
                at_ms=now_ms,
                delivery_id=delivery_id,
                body=body,
                by_hand=True,
                attempts_max=1,
            )

        delivery = await self._database.write(add)
        self._feed.notify()
        return delivery

    async def list(
        self,
        account: Account,
        webhook_id: str,
        *,
        state: DeliveryState | None,
        kind: str | None,
        limit: int,
        offset: int,
    ) -> DeliveryPage:
        """A webhook's deliveries, newest first.

        Raises:
            NotFound: see `Webhooks.get`.
        """

        def read(conn: Connection) -> DeliveryPage:
            owned(conn, account, webhook_id)
            rows, total = webhook_deliveries.of_webhook(
                conn, webhook_id, state=state, kind=kind, limit=min(limit, LIST_MAX), offset=offset
            )
            return DeliveryPage(tuple(rows), total)

        return await self._database.read(read)

    async def get(
        self, account: Account, webhook_id: str, delivery_id: str
    ) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
        """One delivery with its attempts.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """

        def read(conn: Connection) -> tuple[DeliveryRow, Sequence[AttemptRow]]:
            owned(conn, account, webhook_id)
            row = _delivery(conn, webhook_id, delivery_id)
            return row, webhook_deliveries.attempts_of(conn, delivery_id)

        return await self._database.read(read)

    async def redeliver(self, account: Account, webhook_id: str, delivery_id: str) -> DeliveryRow:
        """Send a delivery that has ended once more, with the same id; also where its webhook is disabled.

        One that has not ended stays as it is.

        Raises:
            NotFound: see `get`.
            Conflict: it was sent too often, or too many tests and redeliveries are under way.
            Unavailable: the operator lets no webhook be told.
        """
        require_outbound(self._outbound)

        def again(conn: Connection) -> DeliveryRow:
            webhook = owned(conn, account, webhook_id)
            row = _delivery(conn, webhook_id, delivery_id)
            if row.state is DeliveryState.PENDING:
                return row
            if row.attempts >= _ATTEMPTS_EVER_MAX:
                raise Conflict(f"the delivery was sent {row.attempts} times; look at its attempts")
            _require_room(conn, webhook_id)
            webhook_deliveries.send_again(conn, row, _now_ms(), webhook.max_attempts)
            return _delivery(conn, webhook_id, delivery_id)

        row = await self._database.write(again)
        self._feed.notify()
        return row


def _delivery(conn: Connection, webhook_id: str, delivery_id: str) -> DeliveryRow:
    row = webhook_deliveries.get(conn, webhook_id, delivery_id) if _ID.match(delivery_id) else None
    if row is None:
        raise NotFound(
            f"there is no delivery {delivery_id[:80]}", {"delivery_id": delivery_id[:80]}
        )
    return row


def _require_room(conn: Connection, webhook_id: str) -> None:
    under_way = webhook_deliveries.count_by_hand(conn, webhook_id)
    if under_way >= _BY_HAND_MAX:
        raise Conflict(
            f"{under_way} tests and redeliveries of this webhook are under way; wait for one to end",
            {"under_way": under_way},
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
