"""What `neurogrid-coordinator migrate` does."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from neurogrid_wallet.payment_store import PaymentStore

from ..backups.saving import Progress, save
from ..setup import PAYMENTS_FILE, database_place
from ..store import migrations
from ..store.away import DRIVER_MISSING, ServerUnfit
from ..store.places import Place
from ..store.sqlite_file import open_alone


class NoBackup(Exception):
    """The backup before cannot be made here; the message says who makes it."""


class WouldLose(Exception):
    """The older schema has no place for what is there; the message lists it."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done, or would be.

    Attributes:
        present, known, to: schemas: before, the newest of this release, after.
        steps: names of the files carried out.
        lost: what had no place in the older schema (`migrations.lost_by_going_to`).
        backup: of the database before; None if nothing was changed.
    """

    present: int
    known: int
    to: int
    steps: tuple[str, ...]
    lost: Mapping[str, int]
    backup: Path | None


def migrate_to(
    directory: Path,
    version: int | None,
    *,
    dry_run: bool,
    lose_data: bool,
    backup: bool,
    progress: Progress,
) -> Migrated:
    """Bring the schema to a version, all steps or none. Holds what a running coordinator holds meanwhile.

    Args:
        version: None for the newest.
        backup: of the database before, beside it.

    Raises:
        OutboxInUse: a coordinator runs.
        WouldLose: rows would be deleted, and ``lose_data`` isn't said.
        NoBackup: we cannot make one of this database.
        ConfigError, DatabaseInUse, Overloaded, ServerUnfit: as of `Database.open`.
        NoWayBack, SchemaTooNew, ValueError: as of `migrations.go_to`.
        DamagedDatabase, OutboxCorrupt, OSError: the directory isn't a sound coordinator's.
    """
    place = database_place(directory)
    if isinstance(place, Path) and not place.is_file():
        raise FileNotFoundError(f"{place} does not exist: there is nothing to migrate")
    owner = PaymentStore(directory / PAYMENTS_FILE)
    try:
        with _alone(place) as conn:
            planned = _planned(conn, version)
        if planned.lost and not (dry_run or lose_data):
            raise WouldLose(
                f"schema {planned.to} has no place for: "
                + ", ".join(f"{what} ({count} rows)" for what, count in planned.lost.items())
            )
        if dry_run or planned.present == planned.to:
            return planned
        saved = None
        if backup:
            if not isinstance(place, Path):
                raise NoBackup(
                    "make a backup of the PostgreSQL database with pg_dump first, then say --no-backup"
                )
            saved = (
                directory / f"before-migrate-{planned.present}-to-{planned.to}-{time.time_ns()}.tar"
            )
            save(directory, saved, artifacts=False, keys=False, progress=progress)
        with _alone(place) as conn:
            migrations.go_to(conn, planned.to)
        return Migrated(
            planned.present, planned.known, planned.to, planned.steps, planned.lost, saved
        )
    finally:
        owner.close()


def _alone(place: Place) -> AbstractContextManager[Connection]:
    if isinstance(place, Path):
        return open_alone(place)
    try:
        from ..store.postgresql_schema import alone
    except ModuleNotFoundError as error:
        raise ServerUnfit(DRIVER_MISSING) from error
    return alone(place)


def _planned(conn: Connection, version: int | None) -> Migrated:
    known = migrations.known()
    to = len(known) if version is None else version
    if not 0 < to <= len(known):
        raise ValueError(f"there is no schema {to}: this release knows 1 to {len(known)}")
    present = migrations.present(conn)
    steps = [migration.name for migration in known[present:to]]
    for migration in reversed(known[to:present]):
        if migration.down is None:
            raise migrations.NoWayBack(
                f"nothing undoes {migration.name}: restore a backup of an earlier time instead"
            )
        steps.append(migration.down_name)
    lost = migrations.lost_by_going_to(conn, to) if to < present else {}
    return Migrated(present, len(known), to, tuple(steps), lost, None)
