"""Batches as OpenAI's clients know them: a file of requests in, files of answers and errors out.

What runs is a native batch of tasks that ask models (`batch_intake`, `batches`), whose owner's id is the id here. Its row here is stored
first, so that a crash leaves a batch that failed, and never tasks of a batch that nobody can see.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from ..batches.batch_rules import CONCURRENCY, ENDED, ItemState
from ..openai.batch_lines import (
    FILE_BYTES_MAX,
    LINE_BYTES_MAX,
    LINES_MAX,
    WINDOW_MS,
    Line,
    read_line,
    task_request,
)
from ..openai.batch_status import Status, status_of
from ..store import openai_batches, openai_files
from ..store.accounts import Account
from ..store.database import Database
from ..store.ids import new_id
from ..store.openai_batches import OpenAiBatchRow
from ..store.openai_files import BATCH_OUTPUT, FileRow
from .artifacts import Artifacts, Stored, Upload
from .batch_intake import BatchIntake, BatchWanted
from .batch_tasks import Source, Wanted
from .batches import Batch, Batches, ItemResult
from .errors import BatchNotFound, InvalidRequest, Refused
from .openai_files import OpenAiFiles, new_row
from .task_answers import FileUrl, TaskAnswers

_log = logging.getLogger(__name__)

LIST_MAX = 100
_PIECE_LINES = 100
# How long who asks for a batch waits while its files are written; after that it is "finalizing".
_FINISHING_S = 5.0
_FINISHED_AT_ONCE = 4
_UNWRITTEN_MAX = 1000
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class OpenAiBatch:
    """A batch.

    Attributes:
        native: what runs, None where there is nothing (see the module).
        waits_for: why nothing goes on; "": it does.
    """

    row: OpenAiBatchRow
    native: Batch | None
    waits_for: str = ""

    @property
    def status(self) -> Status:
        """In OpenAI's words."""
        counts = None if self.native is None else self.native.row.counts
        now_ms = _now_ms()
        return status_of(
            None if self.native is None else self.native.row.state,
            age_ms=now_ms - self.row.created_at_ms,
            is_finished=self.row.finished_at_ms is not None,
            is_expired=now_ms >= self.row.expires_at_ms,
            failed=0 if counts is None else counts.failed,
        )

    @property
    def metadata(self) -> dict[str, str]:
        """Its owner's."""
        found: dict[str, str] = msgspec.json.decode(self.row.metadata_json)
        return found


class OpenAiBatches:
    """What clients do with batches.

    Args:
        discount_percent: so much less than the catalogue's price is paid.
    """

    def __init__(
        self,
        *,
        database: Database,
        files: OpenAiFiles,
        artifacts: Artifacts,
        intake: BatchIntake,
        batches: Batches,
        answers: TaskAnswers,
        discount_percent: int,
    ) -> None:
        self._database = database
        self._files = files
        self._artifacts = artifacts
        self._intake = intake
        self._batches = batches
        self._answers = answers
        self._discount_percent = discount_percent
        self._finishing: dict[str, asyncio.Task[None]] = {}
        self._at_once = asyncio.Semaphore(_FINISHED_AT_ONCE)
        # Of batches whose files could not be written: why.
        self._unwritten: dict[str, str] = {}

    async def create(
        self, account: Account, *, endpoint: str, input_file_id: str, metadata: Mapping[str, str]
    ) -> OpenAiBatch:
        """Store all of a file's requests, or none.

        Raises:
            NotFound: there is no such file.
            InvalidRequest: a line is wrong, which is named, or there are too many.
        """
        file = await self._files.get(account, input_file_id)
        if file.size_bytes > FILE_BYTES_MAX:
            raise InvalidRequest(
                f"input_file_id: a batch has at most {FILE_BYTES_MAX} bytes", "input_file_id"
            )
        stored = await self._files.stored(file)
        now_ms = _now_ms()
        row = OpenAiBatchRow(
            id=new_id("batch"),
            account_id=account.id,
            endpoint=endpoint,
            input_file_id=file.id,
            input_sha256=file.sha256,
            metadata_json=_encode(metadata).decode(),
            created_at_ms=now_ms,
            expires_at_ms=now_ms + WINDOW_MS,
        )
        await self._database.write(openai_batches.add, row)
        wanted = BatchWanted(
            defaults={},
            max_concurrency=CONCURRENCY,
            request_sha256=hashlib.sha256(f"{row.id} {row.input_sha256}".encode()).hexdigest(),
            client_id=row.id,
            name=file.filename[:200],
        )
        try:
            native, _ = await self._intake.create(account, wanted, self._source(row, stored))
        except Refused:
            await self._database.write(openai_batches.remove, row.id)
            raise
        return OpenAiBatch(row, native)

    async def get(
        self, account: Account, batch_id: str, file_url: FileUrl | None = None
    ) -> OpenAiBatch:
        """A batch; when it has ended, its files are written before it is shown, or it is still "finalizing".

        Raises:
            BatchNotFound: there is none, or it is somebody else's.
        """
        found = await self._found(account, batch_id)
        if not _is_to_be_finished(found):
            return found
        await asyncio.wait({self._finish(account, found, file_url)}, timeout=_FINISHING_S)
        return await self._found(account, batch_id)

    async def list(
        self, account: Account, *, after: str | None, limit: int, file_url: FileUrl | None
    ) -> tuple[Sequence[OpenAiBatch], bool]:
        """Batches, newest first, from the one after ``after`` on, and whether there are more."""
        rows = await self._database.read(
            lambda conn: openai_batches.page(conn, account.id, after=after, limit=limit + 1)
        )
        found = [await self._with_native(account, row) for row in rows[:limit]]
        for each in found:
            if _is_to_be_finished(each):
                self._finish(account, each, file_url)
        return found, len(rows) > limit

    async def cancel(self, account: Account, batch_id: str) -> OpenAiBatch:
        """Let nothing more of it begin, and cancel what runs; one that has ended is left alone.

        Raises:
            BatchNotFound: see `get`.
        """
        found = await self._found(account, batch_id)
        if found.native is None or found.native.row.state in ENDED:
            return found
        await self._database.write(openai_batches.cancelling, batch_id, _now_ms())
        await self._batches.cancel(account, batch_id)
        return await self._found(account, batch_id)

    async def _found(self, account: Account, batch_id: str) -> OpenAiBatch:
        row = await self._database.read(openai_batches.get, account.id, batch_id)
        if row is None:
            raise BatchNotFound(batch_id)
        return await self._with_native(account, row)

    async def _with_native(self, account: Account, row: OpenAiBatchRow) -> OpenAiBatch:
        try:
            native = await self._batches.get(account, row.id)
        except BatchNotFound:
            return OpenAiBatch(row, None)
        waits_for = native.row.note or self._unwritten.get(row.id, "")
        return OpenAiBatch(row, native, waits_for)

    async def _source(self, row: OpenAiBatchRow, stored: Stored) -> Source:
        piece: list[Wanted] = []
        async with aclosing(self._lines(row, stored)) as lines:
            async for number, line in lines:
                piece.append(self._wanted(row, number, line))
                if len(piece) == _PIECE_LINES:
                    yield piece
                    piece = []
        if piece:
            yield piece

    async def _lines(self, row: OpenAiBatchRow, stored: Stored) -> AsyncGenerator[tuple[int, Line]]:
        """The requests of a batch's file, with their lines' numbers."""
        count = 0
        async with aclosing(_split(self._artifacts.content(stored))) as lines:
            async for number, data in lines:
                count += 1
                if count > LINES_MAX:
                    raise InvalidRequest(
                        f"input_file_id: a batch has at most {LINES_MAX} requests", "input_file_id"
                    )
                yield number, read_line(data, number, row.endpoint)

    def _wanted(self, row: OpenAiBatchRow, number: int, line: Line) -> Wanted:
        where = f"line {number}"
        try:
            model, program, cap = self._answers.prepared(line.request)
        except Refused as error:
            refused = InvalidRequest(f"{where}: {error.message}", where)
            refused.details |= {k: v for k, v in error.details.items() if k == "reason"}
            raise refused from error
        request = task_request(
            line,
            model,
            program,
            discount_percent=self._discount_percent,
            cap_micro_usdc=cap,
            ends_at_ms=row.expires_at_ms,
        )
        return Wanted(line.custom_id, request, f"{where}: ")

    def _finish(
        self, account: Account, found: OpenAiBatch, file_url: FileUrl | None
    ) -> "asyncio.Task[None]":
        """Have its files written, once at a time; what fails is tried again by who asks next."""
        batch_id = found.row.id
        work = self._finishing.get(batch_id)
        if work is None:
            work = asyncio.create_task(self._write_files(account, found, file_url))
            self._finishing[batch_id] = work
            work.add_done_callback(lambda done: self._finished(batch_id, done))
        return work

    def _finished(self, batch_id: str, done: "asyncio.Task[None]") -> None:
        del self._finishing[batch_id]
        self._unwritten.pop(batch_id, None)
        if not done.cancelled() and (error := done.exception()) is not None:
            _log.warning("the answers of %s are not written yet: %r", batch_id, error)
            words = error.message if isinstance(error, Refused) else "the coordinator failed"
            self._unwritten[batch_id] = f"the answers cannot be written: {words}"
            if len(self._unwritten) > _UNWRITTEN_MAX:
                del self._unwritten[next(iter(self._unwritten))]

    async def _write_files(
        self, account: Account, found: OpenAiBatch, file_url: FileUrl | None
    ) -> None:
        native, row = found.native, found.row
        assert native is not None, "it has ended"
        counts = native.row.counts
        rows: list[FileRow | None] = []
        for name, states, many in (
            ("output", {ItemState.COMPLETED}, counts.completed),
            ("error", {ItemState.FAILED, ItemState.CANCELLED}, counts.failed + counts.cancelled),
        ):
            if not many:
                rows.append(None)
                continue
            lines = self._answer_lines(account, row, frozenset(states), file_url)
            async with self._at_once:
                stored = await self._artifacts.put(account, Upload(None, lines))
            rows.append(new_row(account, stored, f"{row.id}_{name}.jsonl", BATCH_OUTPUT))
        output, errors = rows

        def save(conn: Connection) -> None:
            first = openai_batches.finish(
                conn,
                row.id,
                output_file_id=output.id if output else None,
                error_file_id=errors.id if errors else None,
                now_ms=_now_ms(),
            )
            for file in (output, errors):
                if first and file is not None:
                    openai_files.add(conn, file)

        await self._database.write(save)

    async def _answer_lines(
        self,
        account: Account,
        row: OpenAiBatchRow,
        states: frozenset[ItemState],
        file_url: FileUrl | None,
    ) -> AsyncGenerator[bytes]:
        # Found when the batch was made, and artifacts stay.
        lines = self._lines(row, Stored(row.input_sha256, 0))
        async with aclosing(lines), aclosing(self._batches.results(account, row.id)) as results:
            async for piece in results:
                for item in piece:
                    # Requests are items in their order.
                    _, line = await anext(lines)
                    if item.item.state in states:
                        yield _encode(await self._told(line, item, file_url)) + b"\n"

    async def _told(
        self, line: Line, result: ItemResult, file_url: FileUrl | None
    ) -> dict[str, Any]:
        """A line of a file of answers or errors."""
        item, task = result.item, result.task
        task_id = item.task_id or item.first_task_id or ""
        told: dict[str, Any] = {"id": f"batch_req_{task_id}", "custom_id": line.custom_id}
        if item.state is not ItemState.COMPLETED or task is None:
            code = item.code.lower() or "batch_cancelled"
            words = item.message or "the batch was cancelled before this request was answered"
            return {**told, "response": None, "error": {"code": code, "message": words}}
        try:
            body = await self._answers.answered(line.request, task, file_url)
            status = 200
        except Refused as error:
            body = {
                "error": {
                    "message": error.message,
                    "type": "server_error",
                    "param": None,
                    "code": str(error.details.get("reason", error.code.lower())),
                }
            }
            status = 500
        response = {"status_code": status, "request_id": task.id, "body": body}
        return {**told, "response": response, "error": None}


def _is_to_be_finished(found: OpenAiBatch) -> bool:
    native = found.native
    return native is not None and native.row.state in ENDED and found.row.finished_at_ms is None


async def _split(chunks: AsyncIterator[bytes]) -> AsyncGenerator[tuple[int, bytes]]:
    """Lines with their numbers, without those that are blank.

    Raises:
        InvalidRequest: one is too long.
    """
    number, left = 0, b""
    async for chunk in chunks:
        *whole, left = (left + chunk).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, line
        if len(left) > LINE_BYTES_MAX:
            where = f"line {number + 1}"
            raise InvalidRequest(f"{where}: has more than {LINE_BYTES_MAX} bytes", where)
    if left.strip():
        yield number + 1, left


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
