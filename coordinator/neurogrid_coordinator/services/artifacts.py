"""Files by their hash: clients put inputs and get outputs, nodes the other way round.

A client reads what its account has. A node reads the inputs of one lease and puts its outputs, for
as long as that lease is not settled; its token opens nothing else.
"""

import logging
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.settlement import SettlementPhase

from ..artifacts import ArtifactRefused, BlobStore, DiskFull, LeaseTokens, TooLarge
from ..store import artifacts, leases, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.leases import LeaseRow
from .errors import Forbidden, InvalidRequest, NotFound, PayloadTooLarge, Unauthorized, Unavailable

_log = logging.getLogger(__name__)

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limits:
    """How large files may be, bytes."""

    file_bytes: int
    account_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is here; ``created``: by this very upload."""

    sha256: str
    size_bytes: int
    created: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way here.

    Attributes:
        sha256: that it shall have.
        announced_bytes: how large its sender says it is, None where it says nothing.
    """

    sha256: str
    chunks: AsyncIterator[bytes]
    announced_bytes: int | None = None


class Artifacts:
    """Uploads and downloads."""

    def __init__(
        self, *, database: Database, blobs: BlobStore, tokens: LeaseTokens, limits: Limits
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._tokens = tokens
        self._limits = limits

    async def put(self, account: Account, upload: Upload) -> Stored:
        """Store a file of a client.

        Raises:
            InvalidRequest: the bytes are not those of the hash.
            PayloadTooLarge: more than a file, or the account, may have.
            Unavailable: there is no room.
        """
        check_digest(upload.sha256)
        total = await self._database.read(lambda conn: artifacts.total_bytes(conn, account.id))
        room = min(self._limits.file_bytes, max(0, self._limits.account_bytes - total))
        return await self._put(account.id, upload, room, lease_id=None)

    async def find(self, account: Account, sha256: str) -> Stored:
        """A file of this account.

        Raises:
            NotFound: the account has no such file.
        """
        check_digest(sha256)
        row = await self._database.read(lambda conn: artifacts.get(conn, sha256, account.id))
        if row is None:
            raise NotFound(f"this account has no artifact {sha256}")
        return self._present(Stored(sha256, row.size_bytes))

    async def put_of_lease(self, token: str, upload: Upload) -> Stored:
        """Store an output of a lease.

        Raises:
            Unauthorized, Forbidden: the token is nobody's, or its lease is over.
            others: see `put`; the limit is the disk space that the task asked for.
        """
        check_digest(upload.sha256)

        def room(conn: Connection) -> tuple[LeaseRow, int]:
            lease = self._open_lease(conn, token)
            task = tasks.get(conn, lease.task_id)
            assert task is not None, "a lease refers to its task"
            used = artifacts.lease_bytes(conn, lease.account_id, lease.id)
            asked = task.state.demand.requirements.disk_bytes
            return lease, min(self._limits.file_bytes, max(0, asked - used))

        lease, size_bytes_max = await self._database.read(room)
        return await self._put(lease.account_id, upload, size_bytes_max, lease.id)

    async def find_of_lease(self, token: str, sha256: str) -> Stored:
        """An input of a lease, or an output that it has put already.

        Raises:
            Unauthorized, Forbidden: see `put_of_lease`.
            NotFound: it is neither.
        """
        check_digest(sha256)

        def read(conn: Connection) -> Stored:
            lease = self._open_lease(conn, token)
            for item in tasks.job_of(conn, lease.task_id).inputs:
                if item.sha256 == sha256:
                    return Stored(sha256, item.size_bytes)
            row = artifacts.get(conn, sha256, lease.account_id)
            if row is not None and row.lease_id == lease.id:
                return Stored(sha256, row.size_bytes)
            raise NotFound(f"{sha256} is no file of this lease")

        return self._present(await self._database.read(read))

    def _present(self, stored: Stored) -> Stored:
        """Found out before an answer begins: later there is no way to say so."""
        if self._blobs.size_bytes(stored.sha256) != stored.size_bytes:
            _log.error("the blob %s is damaged or gone", stored.sha256)
            raise NotFound(f"the bytes of {stored.sha256} are lost; upload it again")
        return stored

    def content(self, stored: Stored, offset: int = 0) -> AsyncIterator[bytes]:
        """The bytes of a file that was found, from ``offset`` on."""
        return self._blobs.read(stored.sha256, offset)

    def is_lease_token(self, credential: str) -> bool:
        """Whether this is the token of some lease, open or not."""
        return self._tokens.lease_of_token(credential) is not None

    def _open_lease(self, conn: Connection, token: str) -> LeaseRow:
        lease_id = self._tokens.lease_of_token(token)
        lease = leases.get(conn, lease_id) if lease_id is not None else None
        if lease is None:
            raise Unauthorized("this is not the token of any lease")
        if lease.settlement.phase is SettlementPhase.CLOSED:
            raise Forbidden("this lease is over")
        return lease

    async def _put(
        self,
        account_id: str,
        upload: Upload,
        size_bytes_max: int,
        lease_id: str | None,
    ) -> Stored:
        sha256 = upload.sha256
        if (upload.announced_bytes or 0) > size_bytes_max:
            raise PayloadTooLarge(size_bytes_max)
        try:
            blob = await self._blobs.put(
                upload.chunks, size_bytes_max=size_bytes_max, sha256=sha256
            )
        except TooLarge as error:
            raise PayloadTooLarge(size_bytes_max) from error
        except DiskFull as error:
            raise Unavailable(str(error)) from error
        except ArtifactRefused as error:
            raise InvalidRequest(str(error), "sha256") from error
        now_ms = time.time_ns() // 1_000_000

        def add(conn: Connection) -> bool:
            there = artifacts.get(conn, sha256, account_id) is not None
            artifacts.add(conn, sha256, account_id, blob.size_bytes, lease_id, now_ms)
            return not there

        created = await self._database.write(add)
        return Stored(sha256, blob.size_bytes, created)


def check_digest(sha256: str) -> None:
    """Refuse what is not a SHA-256.

    Raises:
        InvalidRequest: it is not 64 lower-case hex digits.
    """
    if not _SHA256.fullmatch(sha256):
        raise InvalidRequest("sha256: must be 64 lower-case hex digits", "sha256")
