"""Requests with an idempotency key that replicas answer: asked once, and answered the same way again.

What the model's server said is on the disk before what it came to is noted, and kept in the transaction of that note
(`store.kept_answers`): whoever dies before it has billed nothing, and whoever dies after it has both.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from neurogrid_marketplace.model_catalogue import Model

from ..files.artifacts import BlobStore, StoreUnavailable, content
from ..openai import server_answers
from ..openai.answers import Bill
from ..paid_use.meter import Keeping
from ..replicas.serving import Served
from ..store import kept_answers, tasks
from ..store.accounts import Account
from ..store.database import Database
from ..store.kept_answers import KeptAnswer, KeptBill
from .artifacts import Artifacts, Upload, unreachable
from .errors import Conflict, IdempotencyMismatch, NoRoomForAnswer, PayloadTooLarge
from .model_questions import Asked
from .whole_answers import Said, once, with_links

# Of a file: the request's id, and all that a server may say.
_FILE_BYTES_MAX: Final = 33 * 1024 * 1024
# Where an account has less room than this, nobody is asked: most answers are smaller.
_ROOM_BYTES_MIN: Final = 64 * 1024


class Turn:
    """One request with a key, while nobody else asks with it."""

    def __init__(self, artifacts: Artifacts, account: Account, key: str, digest: str) -> None:
        self.keeping: Keeping | None = None
        self._artifacts = artifacts
        self._account = account
        self._key = key
        self._digest = digest

    async def keeping_of(self, served: Served, body: bytes, took_ms: int) -> Keeping:
        """What is to be kept with the last note of an answer: its file is on the disk.

        Raises:
            NoRoomForAnswer: the account may not have so large a file more.
            Unavailable: see `Artifacts.put`.
        """
        meter = served.meter
        # No other file is like it: nobody else can let go of it.
        data = meter.request_id.encode() + b"\n" + body
        upload = Upload(None, once(data), len(data))
        try:
            blob = await self._artifacts.put_unnamed(self._account, upload)
        except PayloadTooLarge as error:
            raise NoRoomForAnswer(await self._artifacts.room_bytes(self._account)) from error
        bill = KeptBill(
            meter.request_id, meter.paid_by.task_id, served.lease.node_id, served.began_s, took_ms
        )
        answer = KeptAnswer(
            *(self._account.id, self._key, self._digest, bill, blob.sha256, blob.size_bytes)
        )
        self.keeping = Keeping(answer)
        return self.keeping


class KeptAnswers:
    """See the module.

    Args:
        kept_ms: for how long a request is answered as before.
    """

    def __init__(
        self, database: Database, artifacts: Artifacts, blobs: BlobStore, kept_ms: int
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._blobs = blobs
        self._kept_ms = kept_ms
        self._under_way: set[tuple[str, str]] = set()

    async def is_kept(self, account: Account, key: str) -> bool:
        """Whether a replica has answered a request with this key."""
        return await self._known(account, key) is not None

    async def is_task(self, account: Account, key: str) -> bool:
        """Whether a request with this key is a task."""
        found = await self._database.read_briefly(tasks.by_idempotency_key, account.id, key)
        return found is not None

    async def require_room(self, account: Account) -> None:
        """See that an answer could be kept, before a node is asked for one.

        Raises:
            NoRoomForAnswer: the account's files take as much as they may.
        """
        room = await self._artifacts.room_bytes(account)
        if room < _ROOM_BYTES_MIN:
            raise NoRoomForAnswer(room)

    async def find(self, account: Account, asked: Asked, key: str, model: Model) -> Said | None:
        """What a replica has answered to this request; None: nothing that is still known.

        Raises:
            IdempotencyMismatch: it was another request.
            Conflict: what was said is lost.
            Unavailable: the store of files does not answer.
            others: see `Artifacts.put`, where an image is to be linked.
        """
        kept = await self._known(account, key)
        if kept is None:
            return None
        if kept.request_sha256 != await _digest(asked):
            raise used_for_another(key)
        try:
            data = await content(self._blobs, kept.sha256, _FILE_BYTES_MAX)
        except StoreUnavailable as error:
            raise unreachable(error) from error
        if data is None:
            raise Conflict(
                f"the request with the idempotency key {key!r} was answered, and its answer is lost; send it with another key"
            )
        value = server_answers.read_object(data.partition(b"\n")[2])
        told = kept.bill
        return Said(
            await with_links(self._artifacts, account, asked, value),
            Bill(
                id=told.request_id,
                created_s=told.began_s,
                model=model,
                node_id=told.node_id,
                cost_micro_usdc=told.cost_micro_usdc,
                task_id=told.task_id,
            ),
            told.took_ms,
            is_repeat=True,
        )

    @asynccontextmanager
    async def turn(self, account: Account, asked: Asked, key: str) -> AsyncIterator[Turn]:
        """While this lasts, and until a note is on the disk that is under way then, nobody else asks with the key.

        Raises:
            Conflict: somebody does already.
        """
        place = (account.id, key)
        if place in self._under_way:
            raise Conflict("a request with this idempotency key is being carried out")
        self._under_way.add(place)
        turn = None
        try:
            turn = Turn(self._artifacts, account, key, await _digest(asked))
            yield turn
        finally:
            keeping = None if turn is None else turn.keeping
            if keeping is not None and keeping.is_under_way:
                keeping.after = lambda: self._under_way.discard(place)
            else:
                self._under_way.discard(place)

    async def _known(self, account: Account, key: str) -> KeptAnswer | None:
        since_ms = time.time_ns() // 1_000_000 - self._kept_ms
        return await self._database.read_briefly(kept_answers.find, account.id, key, since_ms)


def used_for_another(key: str) -> IdempotencyMismatch:
    """What whoever sends another request with a key hears."""
    return IdempotencyMismatch(f"the idempotency key {key!r} was used for another request")


async def _digest(asked: Asked) -> str:
    """Of all that a request asks for."""
    request = asked.request
    words = asked.sent or msgspec.json.encode(
        [type(request).__name__, request], order="deterministic"
    )
    digest = hashlib.sha256(words)
    if asked.recording is not None:
        async for piece in asked.recording.pieces():
            digest.update(piece)
    return digest.hexdigest()
