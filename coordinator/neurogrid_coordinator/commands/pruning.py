"""What `neurogrid-coordinator prune` does."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from neurogrid_wallet.payment_store import PaymentStore

from ..config import CONFIG_NAME, RetentionConfig, load_config
from ..retention import due, forget_once, hours_of
from ..setup import PAYMENTS_FILE, database_place
from ..store.database import Database
from ..store.places import Place
from ..store.size import size_bytes
from ..store.sqlite_file import compact as compact_file

# A coordinator that runs has its turns between ours.
_PAUSE_S = 0.02


class NotCompacted(Exception):
    """This database is not made smaller by us; the message says by whom."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or would be.

    Attributes:
        counts, hours: by kind (`retention.KINDS`): how many, and for how long it is kept; 0: for ever.
    """

    counts: Mapping[str, int]
    hours: Mapping[str, int]
    bytes_before: int
    bytes_after: int


def prune_now(directory: Path, *, dry_run: bool, compact: bool) -> Pruned:
    """Delete what is due, beside a coordinator that may run.

    Args:
        compact: and then rewrite the SQLite file without its free pages, while no coordinator runs.

    Raises:
        OutboxInUse: one runs.
        NotCompacted: the database is on a server.
        ConfigError, DatabaseInUse, Overloaded, ServerUnfit: as of `Database.open`.
        DamagedDatabase, OSError: there is no sound database.
    """
    place = database_place(directory)
    kept_for = load_config(directory / CONFIG_NAME).retention
    if isinstance(place, Path) and not place.is_file():
        raise FileNotFoundError(f"{place} does not exist: there is nothing to prune")
    if not compact:
        return asyncio.run(_prune(place, kept_for, dry_run=dry_run))
    if not isinstance(place, Path):
        raise NotCompacted(
            "PostgreSQL uses free space again by itself; VACUUM FULL gives it back to the disk"
        )
    # What a running coordinator holds.
    owner = PaymentStore(directory / PAYMENTS_FILE)
    try:
        done = asyncio.run(_prune(place, kept_for, dry_run=False))
        return Pruned(done.counts, done.hours, done.bytes_before, compact_file(place))
    finally:
        owner.close()


async def _prune(place: Place, kept_for: RetentionConfig, *, dry_run: bool) -> Pruned:
    now_ms = time.time_ns() // 1_000_000
    async with Database.open(place) as database:
        before = await database.read(size_bytes)
        if dry_run:
            counts = await due(database, kept_for, now_ms)
        else:
            counts = await forget_once(database, kept_for, now_ms, pause_s=_PAUSE_S)
        return Pruned(counts, hours_of(kept_for), before, await database.read(size_bytes))
