"""A coordinator whose directory was restored from a backup: before it works, it lets go of what it cannot know.

What happened after the backup is on the chain and with the nodes, and not in these books. A task that had not
ended may have run and been paid since, so none is taken up again: each is cancelled, its lease's vouchers
stay what they were, and what is left in its escrow is taken back. No escrow is opened for a lease of the
old books: it may have been opened, paid and closed since, and its address is free again.

`restore` leaves the mark, in the new directory before that has its name; the mark goes when all of this is
committed, and doing it twice changes nothing.
"""

import logging
from pathlib import Path

from sqlalchemy import Connection, delete

from neurogrid_marketplace import settlement
from neurogrid_marketplace.challenge_answer import Mark
from neurogrid_wallet.stored_json import read_json, write_json

from .batches.batch_rules import ItemState
from .batches.scheduler import look_ahead
from .store import batch_items, batches, challenges, leases, schedules, tasks
from .store.database import Database
from .store.tables import payment
from .tasks import steps

_log = logging.getLogger(__name__)

RESTORED_FILE = "restored.json"
_NOTE = "the coordinator was restored from a backup"
_AT_A_TIME = 1_000


def mark(directory: Path, backup_made_at_ms: int) -> None:
    """Have the next start let go of what was under way."""
    write_json(directory / RESTORED_FILE, {"backup_made_at_ms": backup_made_at_ms})


async def let_go_if_restored(directory: Path, database: Database, now_ms: int) -> None:
    """If this directory was restored and has not run since: end what had not ended.

    Raises:
        OutboxCorrupt: the mark is damaged.
    """
    path = directory / RESTORED_FILE
    if read_json(path) is None:
        return
    ended = await database.write(let_go, now_ms)
    _log.warning(
        "restored from a backup: %d tasks had not ended then, and are cancelled: they may have run "
        "since. Run `neurogrid-coordinator reconcile`",
        ended,
    )
    path.unlink()


def let_go(conn: Connection, now_ms: int) -> int:
    """End every task, batch, lease without escrow and challenge that had not ended; how many tasks that were."""
    under_way = [state.task.task_id for state in tasks.active(conn)]
    ended = steps.cut_off(conn, [*under_way, *tasks.unjudged(conn)], now_ms)
    for row in leases.unsettled_rows(conn):
        # Where no escrow is known none will be opened.
        unopened = settlement.open_failed(row.settlement, now_ms)
        if unopened != row.settlement:
            leases.save_settlement(conn, unopened, now_ms)
    # Where they are in the same database; what they would send again, old books must not.
    conn.execute(delete(payment))
    while rows := challenges.open_ones(conn, _AT_A_TIME):
        for challenge in rows:
            challenges.end(conn, challenge.id, Mark.INCONCLUSIVE, _NOTE, now_ms)
    # What waited in a batch may have run since. Its tasks were cancelled above: the runner counts them.
    for batch in batches.running(conn):
        batches.cancel(conn, batch.id)
        batch_items.move_all(
            conn,
            batch.id,
            ItemState.PENDING,
            ItemState.CANCELLED,
            now_ms,
            code="RESTORED",
            message=_NOTE,
        )
        batches.end_if_done(conn, batch.id, now_ms)
    # What was due since may have run; its time comes again.
    schedules.end_due(conn, now_ms, _NOTE)
    look_ahead(conn, now_ms)
    return ended
