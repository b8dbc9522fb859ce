"""Closes each month's invoices: once the month is over, what was paid in it is put on an invoice for good."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import Connection

from ..store import api_keys, billing
from ..store.billing import Invoice
from ..store.database import Database, Overloaded

_log = logging.getLogger(__name__)

# After a month's end: what was settled in its last moments is stored by then. What comes later than
# that is on an invoice of its own.
_PATIENCE_MS = 3_600_000
_INTERVAL_S = 600
# So many accounts' at a time, so that nobody else waits long for the database.
_BATCH = 50


def month_of(unix_ms: int) -> tuple[int, int]:
    """The first moment of the UTC month that this belongs to, and of the next, Unix milliseconds."""
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    after = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return _ms(start), _ms(after)


def issue_due(conn: Connection, now_ms: int) -> list[Invoice]:
    """Issue what is due, of some accounts; an empty list when nothing is. Repeating issues nothing twice."""
    before_ms, _ = month_of(now_ms - _PATIENCE_MS)
    issued = []
    for account_id in billing.accounts_to_invoice(conn, before_ms, limit=_BATCH):
        # Of several coordinators one numbers an account's invoices at a time.
        api_keys.lock(conn, account_id)
        while True:
            oldest_ms = billing.oldest_to_invoice_ms(conn, account_id, before_ms)
            if oldest_ms is None:
                break
            start_ms, end_ms = month_of(oldest_ms)
            issued.append(billing.issue(conn, account_id, start_ms, end_ms, now_ms))
    return issued


async def keep_invoicing(database: Database, now_ms: Callable[[], int]) -> None:
    """Issue invoices for ever; cancel it to stop."""
    while True:
        try:
            while issued := await database.write(issue_due, now_ms()):
                _log.info("issued %d invoices", len(issued))
        except Overloaded as error:
            _log.warning("invoices wait: %s", error)
        await asyncio.sleep(_INTERVAL_S)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
