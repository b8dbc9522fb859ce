"""Deletes what an operator no longer wants to keep of what ended long ago (`[retention]`)."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

from .config import RetentionConfig
from .store import retention
from .store.database import Database, Overloaded
from .store.retention import Place

_log = logging.getLogger(__name__)

_HOUR_MS = 3600 * 1000
_DAY_HOURS = 24
_LOOK_INTERVAL_S = 3600.0
# Between two transactions others get their turn.
PAUSE_S = 0.2
# Of all kinds in one look: what is left has its turn in the next, and the operator sees it in the numbers.
TRANSACTIONS_MAX = 10_000


async def forget(
    database: Database,
    kept_for: RetentionConfig,
    now_ms: Callable[[], int],
    pruned: Counter[str],
) -> None:
    """Look once an hour, until this is cancelled.

    Args:
        pruned: is added to: how many things of each kind were deleted.
    """
    while True:
        try:
            deleted = await forget_once(database, kept_for, now_ms())
            pruned.update(deleted)
            if any(deleted.values()):
                told = ", ".join(f"{count} {kind}" for kind, count in deleted.items() if count)
                _log.info("deleted, as [retention] says: %s", told)
        except Overloaded:
            _log.debug("the database has more urgent things to do")
        except Exception:  # noqa: BLE001 - what is not deleted now is found by the next look
            _log.exception("retention")
        await asyncio.sleep(_LOOK_INTERVAL_S)


async def forget_once(
    database: Database, kept_for: RetentionConfig, now_ms: int, *, pause_s: float = PAUSE_S
) -> dict[str, int]:
    """Delete what is due, a page of each kind after the other; how many of each kind."""
    deleted = dict.fromkeys(retention.KINDS, 0)
    going: dict[str, Place | None] = dict.fromkeys(_before(kept_for, now_ms))
    transactions = 0
    while going and transactions < TRANSACTIONS_MAX:
        for kind, before_ms in _before(kept_for, now_ms).items():
            if kind not in going:
                continue
            found = await database.read(retention.KINDS[kind].find, before_ms, going[kind])
            if found:
                deleted[kind] += await database.write(retention.KINDS[kind].delete, found)
                transactions += 1
                going[kind] = found[-1]
            if len(found) < retention.BATCH_MAX:
                del going[kind]
            else:
                await asyncio.sleep(pause_s)
    return deleted


async def due(database: Database, kept_for: RetentionConfig, now_ms: int) -> dict[str, int]:
    """How many of each kind would be deleted; nothing is."""
    counts = dict.fromkeys(retention.KINDS, 0)
    for kind, before_ms in _before(kept_for, now_ms).items():
        after: Place | None = None
        while found := await database.read(retention.KINDS[kind].find, before_ms, after):
            counts[kind] += len(found)
            after = found[-1]
    return counts


def hours_of(kept_for: RetentionConfig) -> Mapping[str, int]:
    """For how many hours each kind is kept; 0: for ever."""
    days = {
        "logs": kept_for.logs_days,
        "outputs": kept_for.outputs_days,
        "events": kept_for.events_days,
        "evidence": kept_for.evidence_days,
        "failures": kept_for.failures_days,
        "deliveries": kept_for.deliveries_days,
    }
    hours = {kind: _DAY_HOURS * each for kind, each in days.items()}
    return {**hours, "answers": kept_for.idempotency_hours}


def _before(kept_for: RetentionConfig, now_ms: int) -> Mapping[str, int]:
    """The kinds that are not kept for ever, and until when what is deleted has ended."""
    return {kind: now_ms - hours * _HOUR_MS for kind, hours in hours_of(kept_for).items() if hours}
