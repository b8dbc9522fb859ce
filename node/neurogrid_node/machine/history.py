"""How busy this machine was: a small database beside the journal, by the minute for a day and by the
hour for a month.

It is experience, not state: a file that cannot be read is begun anew, and a disk that refuses costs a
minute's row. It holds, too, which GPUs are withheld, so that a restart does not offer a broken one.
"""

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .fitness import Withheld

_log = logging.getLogger(__name__)

FILE_NAME: Final = "history.db"
HOST: Final = "host"
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
_MINUTES_KEPT_MS: Final = 24 * HOUR_MS
_HOURS_KEPT_MS: Final = 30 * 24 * HOUR_MS
# 64 GPUs and the machine, each with a day's minutes: 94,000 rows of some 40 bytes, 4 MB.
_ROWS_MAX: Final = 150_000
_WITHHELD_MAX: Final = 128
_VERSION: Final = 1
_SCHEMA: Final = """
create table sample (
    width_ms integer not null,
    unit text not null,
    at_ms integer not null,
    samples integer not null,
    utilisation real,
    memory_bytes integer,
    temperature integer,
    power_milliwatts integer,
    primary key (width_ms, unit, at_ms)
) strict, without rowid;
create table withheld (
    uuid text primary key,
    code text not null,
    message text not null,
    since_ms integer not null,
    until_ms integer not null,
    strikes integer not null
) strict
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One unit over one minute or hour. None: it does not tell.

    Attributes:
        unit: a GPU's UUID, or ``HOST``: the machine's processors and memory.
        at_ms: when it began, Unix time.
        samples: how many readings it sums up.
        utilisation_percent: the mean.
        memory_bytes, temperature_celsius, power_milliwatts: the most.
    """

    unit: str
    at_ms: int
    samples: int
    utilisation_percent: float | None
    memory_bytes: int | None
    temperature_celsius: int | None
    power_milliwatts: int | None


class History:
    """The file, opened for each use: that is once a minute. Blocks: use it from a thread.

    A file that is damaged, or of another version, is begun anew.
    """

    def __init__(self, path: Path, *, rows_max: int = _ROWS_MAX) -> None:
        """
        Args:
            rows_max: how many samples are kept at most.
        """
        self._path = path
        self._rows_max = rows_max

    def _opened(self) -> closing[sqlite3.Connection]:
        try:
            return closing(self._open())
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _log.warning("%s cannot be read and is begun anew: %s", self._path, error)
            self._path.unlink(missing_ok=True)
            return closing(self._open())

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=1)
        try:
            (version,) = db.execute("pragma user_version").fetchone()
            # Nothing here is worth an fsync.
            db.execute("pragma synchronous=off")
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}")
            if version == 0:
                db.execute("begin immediate")
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"pragma user_version={_VERSION}")
                db.execute("commit")
        except BaseException:
            db.close()
            raise
        return db

    def add(self, samples: Iterable[Sample], now_ms: int) -> None:
        """Store what one minute was like, sum up the hours that are over, and drop what is old.

        Raises:
            sqlite3.Error: the disk is full or broken; nothing is stored.
        """
        hour_ms = now_ms // HOUR_MS * HOUR_MS
        with self._opened() as db, _transaction(db):
            db.executemany(
                "insert or replace into sample values(?, ?, ?, ?, ?, ?, ?, ?)",
                [(MINUTE_MS, *_row(sample)) for sample in samples],
            )
            # The hours' sums are made anew from what minutes there are: nothing is counted twice.
            db.execute(
                "insert or replace into sample"
                f" select {HOUR_MS}, unit, at_ms / {HOUR_MS} * {HOUR_MS}, sum(samples),"
                " sum(utilisation * samples)"
                "   / sum(case when utilisation is null then null else samples end),"
                " max(memory_bytes), max(temperature), max(power_milliwatts)"
                f" from sample where width_ms={MINUTE_MS} and at_ms >= ? group by unit, 3",
                (hour_ms - HOUR_MS,),
            )
            for width_ms, kept_ms in ((MINUTE_MS, _MINUTES_KEPT_MS), (HOUR_MS, _HOURS_KEPT_MS)):
                # A clock that was set back leaves rows of the future, which would never be old.
                db.execute(
                    "delete from sample where width_ms=? and (at_ms <= ? or at_ms > ?)",
                    (width_ms, now_ms - kept_ms, now_ms),
                )
            # Units that come and go, such as parts of GPUs, must not fill the disk.
            db.execute(
                "delete from sample where (width_ms, unit, at_ms) in"
                " (select width_ms, unit, at_ms from sample order by width_ms, at_ms limit"
                "  max(0, (select count(*) from sample) - ?))",
                (self._rows_max,),
            )

    def save_withheld(self, withheld: Sequence[Withheld]) -> None:
        """Remember which GPUs are withheld, and no others.

        Raises:
            sqlite3.Error: the disk is full or broken.
        """
        with self._opened() as db, _transaction(db):
            db.execute("delete from withheld")
            db.executemany(
                "insert or replace into withheld values(?, ?, ?, ?, ?, ?)",
                [
                    (each.uuid, each.code, each.message, each.since_ms, each.until_ms, each.strikes)
                    for each in withheld[:_WITHHELD_MAX]
                ],
            )

    def withheld(self, now_ms: int) -> list[Withheld]:
        """Those whose time is not over; whatever else is wrong is seen anew.

        Raises:
            sqlite3.Error: the file can be neither read nor made.
        """
        with self._opened() as db:
            rows = db.execute(
                "select uuid, code, message, since_ms, until_ms, strikes from withheld"
                " where until_ms > ? order by uuid",
                (now_ms,),
            )
            return [Withheld(*row) for row in rows]


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        db.execute("rollback")
        raise
    db.execute("commit")


def read_history(directory: Path, width_ms: int, since_ms: int) -> list[Sample]:
    """What a node's file has, also while the node runs, by unit and time; nothing where there is none.

    Args:
        width_ms: ``MINUTE_MS`` or ``HOUR_MS``: how long each sample is.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            rows = db.execute(
                "select unit, at_ms, samples, utilisation, memory_bytes, temperature,"
                " power_milliwatts from sample where width_ms=? and at_ms >= ?"
                " order by unit, at_ms",
                (width_ms, since_ms),
            )
            return [Sample(*row) for row in rows]
    except sqlite3.Error as error:
        _log.warning("%s: %s", path, error)
        return []


def _row(sample: Sample) -> tuple[str, int, int, float | None, int | None, int | None, int | None]:
    return (
        sample.unit,
        sample.at_ms // MINUTE_MS * MINUTE_MS,
        sample.samples,
        sample.utilisation_percent,
        sample.memory_bytes,
        sample.temperature_celsius,
        sample.power_milliwatts,
    )
