"""What a node knows of the images that it has fetched: a small database beside the journal.

The daemon and its owner's commands write it at the same time, in transactions. What is being fetched is noted
before it is, so that a node that is killed knows afterwards what came by it. A file that is damaged is begun
anew: then nothing that is here came by this node, and nothing of it is removed.
"""

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from .image_eviction import KeptImage
from .spec import ImageInfo

_log = logging.getLogger(__name__)

FILE_NAME: Final = "images.db"
# Two processes take turns; each turn is short.
_TURN_S: Final = 10
_VERSION: Final = 1
# In a file that was begun anew: whose the images are that it does not know, nobody knows.
_DISTRUSTS: Final = 1
_SCHEMA: Final = """
create table image (
    name text primary key,
    image_id text not null default '',
    size_bytes integer not null default 0,
    brought integer not null,
    pinned integer not null default 0,
    private integer not null default 0,
    used_at_ms integer not null
) strict;
create table hold (
    lease_id text primary key,
    name text not null
) strict
"""


class ImageStore:
    """The file, opened for each use. Blocks: use it from a thread. All raise sqlite3.Error where the disk is
    full or broken."""

    def __init__(self, directory: Path) -> None:
        """
        Args:
            directory: the node's.
        """
        self._path = directory / FILE_NAME

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        try:
            db = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            _log.warning("%s cannot be read and is begun anew: %s", self._path, error)
            self._path.unlink(missing_ok=True)
            db = self._open()
            db.execute(f"pragma application_id={_DISTRUSTS}")
        with closing(db):
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None, timeout=_TURN_S)
        try:
            db.execute("begin immediate")
            (version,) = db.execute("pragma user_version").fetchone()
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}")
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"pragma user_version={_VERSION}")
            db.execute("commit")
        except BaseException:
            db.close()
            raise
        return db

    def begin(self, name: str, now_ms: int) -> None:
        """Note that a name that is not here is about to be fetched by us."""
        with self._opened() as db:
            db.execute(
                "insert or ignore into image(name, brought, used_at_ms) values(?, 1, ?)",
                (name, now_ms),
            )

    def arrived(
        self,
        name: str,
        image: ImageInfo,
        now_ms: int,
        *,
        is_new: bool,
        private: bool,
        holders: Iterable[str],
    ) -> None:
        """It has been fetched, and these leases have it.

        Args:
            is_new: whether it was not here before, under any name.
            private: whether it took credentials. What was here before for anybody stays so.
        """
        with self._opened() as db:
            was_ours, was_private = db.execute(
                "select coalesce(max(brought), 0), coalesce(max(private), 0) from image where image_id=?",
                (image.image_id,),
            ).fetchone()
            db.execute(
                "update image set image_id=?, size_bytes=?, brought=?, private=?, used_at_ms=? where name=?",
                (
                    *(image.image_id, image.size_bytes, is_new or bool(was_ours)),
                    *(private and (is_new or bool(was_private)), now_ms, name),
                ),
            )
            _hold(db, holders, name)

    def failed(self, name: str) -> None:
        """It has not been fetched."""
        with self._opened() as db:
            db.execute("delete from image where name=? and image_id='' and not pinned", (name,))

    def hold(self, lease_id: str, name: str, now_ms: int) -> None:
        """A lease has it from now on; it may have come from anywhere."""
        with self._opened() as db:
            db.execute("update image set used_at_ms=? where name=?", (now_ms, name))
            _hold(db, [lease_id], name)

    def release(self, live: Collection[str], now_ms: int) -> None:
        """Leases other than these have nothing any more; what they had was used until now."""
        with self._opened() as db:
            for lease_id, name in db.execute("select lease_id, name from hold").fetchall():
                if lease_id not in live:
                    db.execute("update image set used_at_ms=? where name=?", (now_ms, name))
                    db.execute("delete from hold where lease_id=?", (lease_id,))

    def pin(self, name: str, image: ImageInfo, now_ms: int) -> None:
        """It stays, whether we brought it or not."""
        with self._opened() as db:
            db.execute(
                "insert into image values(?, ?, ?, 0, 1, 0, ?)"
                " on conflict(name) do update set pinned=1",
                (name, image.image_id, image.size_bytes, now_ms),
            )

    def unpin(self, name: str) -> bool:
        """It may go; whether it was pinned."""
        with self._opened() as db:
            changed = db.execute("update image set pinned=0 where name=? and pinned", (name,))
            db.execute("delete from image where name=? and not brought", (name,))
            return changed.rowcount > 0

    def forget(self, name: str) -> bool:
        """It is about to be removed; False: somebody has come to need it."""
        with self._opened() as db:
            deleted = db.execute(
                "delete from image where name=? and not pinned"
                " and not exists(select 1 from hold where hold.name=image.name)",
                (name,),
            )
            return deleted.rowcount > 0

    def restore(self, image: KeptImage) -> None:
        """It could not be removed, and is known as before."""
        with self._opened() as db:
            db.execute(
                "insert or ignore into image values(?, ?, ?, ?, ?, ?, ?)",
                (
                    *(image.name, image.image_id, image.size_bytes, image.brought),
                    *(image.pinned, image.private, image.used_at_ms),
                ),
            )

    def is_private(self, image: ImageInfo) -> bool:
        """Whether whoever asks for an image that is here has to show to its registry that it may have it."""
        with self._opened() as db:
            rows = db.execute(
                "select private from image where image_id=?", (image.image_id,)
            ).fetchall()
            (distrusts,) = db.execute("pragma application_id").fetchone()
            if not rows:
                return bool(distrusts == _DISTRUSTS and image.digest)
            # What came for nobody in particular, by whatever name, is everybody's.
            return all(private for (private,) in rows)

    def images(self) -> list[KeptImage]:
        """All that is known, the longest unused first."""
        with self._opened() as db:
            holders: dict[str, list[str]] = {}
            for lease_id, name in db.execute("select lease_id, name from hold order by lease_id"):
                holders.setdefault(name, []).append(lease_id)
            rows = db.execute(
                "select name, image_id, size_bytes, brought, pinned, private, used_at_ms from image"
                " order by used_at_ms, name"
            )
            return [
                KeptImage(
                    *(name, image_id, size_bytes, bool(brought), bool(pinned), bool(private), used),
                    holders=tuple(holders.get(name, ())),
                )
                for name, image_id, size_bytes, brought, pinned, private, used in rows
            ]


def _hold(db: sqlite3.Connection, leases: Iterable[str], name: str) -> None:
    db.executemany(
        "insert or replace into hold values(?, ?)", [(lease_id, name) for lease_id in leases]
    )
