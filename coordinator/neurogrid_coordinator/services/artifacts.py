"""Files by their hash: clients put inputs and get outputs, nodes the other way round.

A client reads what its account has. A node reads the inputs of one lease and puts its outputs, for
as long as that lease is not settled; its token opens nothing else.
"""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from neurogrid_marketplace.checkpoint import MAX_CHECKPOINT_FILES, MAX_MANIFEST_BYTES
from neurogrid_marketplace.settlement import SettlementPhase
from neurogrid_marketplace.task import TERMINAL, Task

from ..files.artifacts import (
    ArtifactRefused,
    Blob,
    BlobStore,
    DiskFull,
    LeaseTokens,
    StoreUnavailable,
    TooLarge,
)
from ..store import artifact_references, artifacts, checkpoints, kept_answers, leases, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.leases import LeaseRow
from .errors import (
    ArtifactStoreUnavailable,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    Unauthorized,
    Unavailable,
)

_log = logging.getLogger(__name__)

# Of one account's clients at a time, of those that a store takes in all: slow ones keep other accounts from nothing.
UPLOADS_PER_ACCOUNT = 8

_WEIGHTS = "the catalogue of models names it among the weights of one"
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
        sha256: that it shall have, where that is known.
        announced_bytes: how large its sender says it is, None where it says nothing.
    """

    sha256: str | None
    chunks: AsyncIterator[bytes]
    announced_bytes: int | None = None


class _Places:
    """Lets so many uploads of each account be under way; more wait."""

    def __init__(self) -> None:
        self._of: dict[str, asyncio.Semaphore] = {}
        self._wanted: Counter[str] = Counter()

    @asynccontextmanager
    async def of(self, account_id: str) -> AsyncGenerator[None]:
        """One of the account's places."""
        places = self._of.setdefault(account_id, asyncio.Semaphore(UPLOADS_PER_ACCOUNT))
        self._wanted[account_id] += 1
        try:
            async with places:
                yield
        finally:
            self._wanted[account_id] -= 1
            if not self._wanted[account_id]:
                del self._wanted[account_id], self._of[account_id]


class Artifacts:
    """Uploads and downloads.

    Args:
        weights: files that the catalogue names as weights of models.
    """

    def __init__(
        self,
        *,
        database: Database,
        blobs: BlobStore,
        tokens: LeaseTokens,
        limits: Limits,
        weights: Collection[str] = (),
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._tokens = tokens
        self._limits = limits
        self._weights = frozenset(weights)
        self._places = _Places()

    async def put(self, account: Account, upload: Upload) -> Stored:
        """Store a file of a client.

        Raises:
            InvalidRequest: the bytes are not those of the hash.
            PayloadTooLarge: more than a file, or the account, may have.
            Unavailable: there is no room, or the store does not answer.
        """
        check_digest(upload.sha256)
        async with self._places.of(account.id):
            room = await self._room_bytes(account.id)
            now_ms = _now_ms()

            def add(conn: Connection, blob: Blob) -> bool:
                there = artifacts.get(conn, blob.sha256, account.id) is not None
                artifacts.add(conn, blob.sha256, account.id, blob.size_bytes, None, now_ms)
                return not there

            return await self._put(upload, room, add)

    async def room_bytes(self, account: Account) -> int:
        """How large a file the account may still have."""
        return await self._room_bytes(account.id)

    async def put_unnamed(self, account: Account, upload: Upload) -> Blob:
        """Store the bytes of what becomes the account's with a row that its caller writes; nobody else has a file like it.

        Raises:
            PayloadTooLarge, Unavailable: see `put`.
        """
        async with self._places.of(account.id):
            return await self._bytes(upload, await self._room_bytes(account.id))

    async def _room_bytes(self, account_id: str) -> int:
        used = await self._database.read(lambda conn: _used_bytes(conn, account_id))
        return min(self._limits.file_bytes, max(0, self._limits.account_bytes - used))

    async def find(self, account: Account, sha256: str) -> Stored:
        """A file of this account.

        Raises:
            NotFound: the account has no such file.
        """
        return await self.find_of(account.id, sha256)

    async def find_of(self, account_id: str, sha256: str) -> Stored:
        """A file of the account with this id; see `find`."""
        check_digest(sha256)
        row = await self._database.read(lambda conn: artifacts.get(conn, sha256, account_id))
        if row is None:
            raise NotFound(f"this account has no artifact {sha256}")
        return await self._present(Stored(sha256, row.size_bytes))

    async def delete(self, account: Account, sha256: str) -> None:
        """Delete a file that a client has uploaded.

        Raises:
            InvalidRequest: it is no hash.
            NotFound: the account has no such file.
            Conflict: a task has written it, or something needs it; says what.
        """
        check_digest(sha256)

        def remove(conn: Connection) -> None:
            row = artifacts.get(conn, sha256, account.id)
            if row is None:
                raise NotFound(f"this account has no artifact {sha256}")
            if row.lease_id is not None:
                lease = leases.get(conn, row.lease_id)
                task_id = lease.task_id if lease is not None else "a task"
                raise Conflict(
                    f"{sha256} is an output of {task_id}: it is kept as long as the operator keeps outputs",
                    {"task_id": task_id},
                )
            why = _WEIGHTS if sha256 in self._weights else None
            why = why or artifact_references.referrer(conn, account.id, sha256)
            if why is not None:
                raise Conflict(f"{sha256} is needed: {why}")
            artifacts.remove(conn, row)

        await self._database.write(remove)

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
        now_ms = _now_ms()

        def add(conn: Connection, blob: Blob) -> bool:
            there = artifacts.get(conn, blob.sha256, lease.account_id) is not None
            artifacts.add(conn, blob.sha256, lease.account_id, blob.size_bytes, lease.id, now_ms)
            return not there

        return await self._put(upload, size_bytes_max, add)

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

        return await self._present(await self._database.read(read))

    async def put_of_checkpoint(self, token: str, upload: Upload) -> Stored:
        """Store a file of a checkpoint of the task that a lease runs.

        Raises:
            Unauthorized, Forbidden: the token is nobody's, or its lease runs nothing any more.
            PayloadTooLarge: more than the task's checkpoints, or the account, may have.
            others: see `put`.
        """
        check_digest(upload.sha256)

        def room(conn: Connection) -> tuple[LeaseRow, int]:
            lease, task = self._running_lease(conn, token)
            plan = task.checkpoint
            if plan is None:
                raise Forbidden("this task has not asked for checkpoints")
            count, used = checkpoints.task_usage(conn, task.task_id)
            # Those that are kept, one that is being uploaded, and what a lost node has left of one.
            many = plan.keep + 2
            if count >= many * (MAX_CHECKPOINT_FILES + 1):
                raise PayloadTooLarge(0)
            asked = task.demand.requirements.disk_bytes + MAX_MANIFEST_BYTES
            total = _used_bytes(conn, lease.account_id)
            left = min(many * asked - used, self._limits.account_bytes - total)
            return lease, min(self._limits.file_bytes, max(0, left))

        lease, size_bytes_max = await self._database.read(room)
        now_ms = _now_ms()

        def add(conn: Connection, blob: Blob) -> bool:
            there = checkpoints.blob_bytes(conn, lease.task_id, blob.sha256) is not None
            checkpoints.add_blob(
                conn, lease.task_id, lease.account_id, blob.sha256, blob.size_bytes, now_ms
            )
            return not there

        return await self._put(upload, size_bytes_max, add)

    async def find_of_checkpoint(self, token: str, sha256: str) -> Stored:
        """A file that some run of the lease's task has uploaded for a checkpoint.

        Raises:
            Unauthorized, Forbidden: see `put_of_checkpoint`.
            NotFound: there is none.
        """
        check_digest(sha256)

        def read(conn: Connection) -> Stored:
            lease, _ = self._running_lease(conn, token)
            size_bytes = checkpoints.blob_bytes(conn, lease.task_id, sha256)
            if size_bytes is None:
                raise NotFound(f"{sha256} is of no checkpoint of this lease's task")
            return Stored(sha256, size_bytes)

        return await self._present(await self._database.read(read))

    async def present(self, sha256: str, size_bytes: int) -> Stored:
        """A file that its owner was found to have.

        Raises:
            NotFound: its bytes are lost.
        """
        return await self._present(Stored(sha256, size_bytes))

    def _running_lease(self, conn: Connection, token: str) -> tuple[LeaseRow, Task]:
        lease = self._open_lease(conn, token)
        found = tasks.state_of(conn, lease.task_id)
        assert found is not None, "a lease refers to its task"
        present = found.task.lease
        if present is None or present.lease_id != lease.id or found.task.phase in TERMINAL:
            raise Forbidden("the task goes on without this lease")
        return lease, found.task

    async def _present(self, stored: Stored) -> Stored:
        """Found out before an answer begins: later there is no way to say so."""
        if await self._blobs.size_bytes(stored.sha256) != stored.size_bytes:
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
        self, upload: Upload, size_bytes_max: int, add: Callable[[Connection, Blob], bool]
    ) -> Stored:
        """Store the bytes, and then whose they are.

        Args:
            add: makes them somebody's; whether they were not before.
        """
        blob = await self._bytes(upload, size_bytes_max)
        async with self._blobs.turns.of(blob.sha256):
            try:
                is_here = await self._blobs.size_bytes(blob.sha256) is not None
            except StoreUnavailable as error:
                raise unreachable(error) from error
            if not is_here:
                # Somebody else let go of the same bytes at this very moment (`checkpoints`).
                raise Unavailable("the file was deleted as it came; send it again")
            created = await self._database.write(add, blob)
        return Stored(blob.sha256, blob.size_bytes, created)

    async def _bytes(self, upload: Upload, size_bytes_max: int) -> Blob:
        """Store the bytes; nobody has them yet."""
        if (upload.announced_bytes or 0) > size_bytes_max:
            raise PayloadTooLarge(size_bytes_max)
        try:
            return await self._blobs.put(
                upload.chunks, size_bytes_max=size_bytes_max, sha256=upload.sha256
            )
        except TooLarge as error:
            raise PayloadTooLarge(size_bytes_max) from error
        except DiskFull as error:
            raise Unavailable(str(error)) from error
        except ArtifactRefused as error:
            raise InvalidRequest(str(error), "sha256") from error
        except StoreUnavailable as error:
            raise unreachable(error) from error


def unreachable(error: StoreUnavailable) -> ArtifactStoreUnavailable:
    """What a client hears; the log has why."""
    _log.error("the store of artifacts: %s", error)
    return ArtifactStoreUnavailable(
        "the coordinator's store of artifacts doesn't answer; try again in a moment"
    )


def _used_bytes(conn: Connection, account_id: str) -> int:
    """What an account has here, for its quota."""
    return (
        artifacts.total_bytes(conn, account_id)
        + checkpoints.account_bytes(conn, account_id)
        + kept_answers.account_bytes(conn, account_id)
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def check_digest(sha256: str | None) -> None:
    """Refuse what is not a SHA-256; None is nobody's claim.

    Raises:
        InvalidRequest: it is not 64 lower-case hex digits.
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise InvalidRequest("sha256: must be 64 lower-case hex digits", "sha256")
