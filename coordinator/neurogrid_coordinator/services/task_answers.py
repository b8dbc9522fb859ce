"""Answers of tasks to requests in OpenAI's form: a program of the model's works on each, so all of a text comes in one piece."""

import base64
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

import msgspec

from neurogrid_marketplace.errors import InvalidValue
from neurogrid_marketplace.job import OutputFile
from neurogrid_marketplace.model_catalogue import Model
from neurogrid_marketplace.model_requests import ModelResult
from neurogrid_marketplace.model_routing import ProviderPreferences, attempts, cap_micro_usdc

from ..files.artifacts import BlobStore
from ..openai import answers, by_task
from ..openai.answers import Bill
from ..openai.by_task import ForProgram
from ..openai.fields import Unsupported, given
from ..openai.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    TranscriptionRequest,
)
from ..store.accounts import Account
from ..store.tasks import TaskRow
from .artifacts import Artifacts, Upload
from .errors import InvalidRequest, NobodyAnswered, NodeUnavailable, NotAnswered, Refused
from .model_questions import TEXT, Answer, Asked, Link, bill_headers
from .models import FileGiven, ModelRun, Models, ModelWanted, find_model
from .result_wait import output_bytes
from .unanswered import unanswered

# As large as an answer with an image in it may be.
_IMAGE_BYTES_MAX = 24 * 1024 * 1024
_MS_PER_S = 1000
_encode = msgspec.json.Encoder().encode
# Where the file of an answer can be read with the account's key, by its task and its path there.
FileUrl = Callable[[str, str], str]
_Show = Callable[[OutputFile], str]


class TaskAnswers:
    """See the module."""

    def __init__(self, models: Models, artifacts: Artifacts, blobs: BlobStore) -> None:
        self._models = models
        self._artifacts = artifacts
        self._blobs = blobs

    def prepared(
        self, request: Request, recording: str = "recording"
    ) -> tuple[Model, ForProgram, int | None]:
        """A request as a program takes it: of which model, and what it may cost at most, micro-USDC.

        Raises:
            ModelUnavailable: there is no such model, or it is of another kind.
            NobodyAnswered: only servers answer for it.
            InvalidRequest: a program cannot do what is asked, or a value breaks a rule.
        """
        model = find_model(self._models.settings, request.model, by_task.TYPES[type(request)])
        if not model.tasks:
            raise NobodyAnswered(
                f"{model.id} is answered by servers that stay, and this coordinator keeps none ([models] replicas)",
                {},
            )
        program = by_task.for_program(request, model, recording)
        return model, program, _cap(Asked(request).routing, request)

    async def whole(self, account: Account, asked: Asked) -> Answer:
        """The whole answer.

        Raises:
            as `prepared`.
            NodeUnavailable, NobodyAnswered: nobody could serve it, or did in time.
            NotAnswered: its program failed, or left nothing that can be read.
            others: see `Tasks.submit`.
        """
        result, row, bill = await self._run(account, asked)
        headers = bill_headers(bill)
        if isinstance(asked.request, TranscriptionRequest):
            words = _subtitles(asked.request, result, row)
            if words is not None:
                return Answer(words.encode("utf-8", "replace"), TEXT, headers)
        show = None if asked.link is None else _linked(asked.link)
        content = await self._content(asked.request, result, row, bill, show)
        return Answer(_encode(content), headers=headers)

    async def pieces(self, account: Account, asked: Asked) -> AsyncGenerator[bytes]:
        """The JSON of each event of a stream.

        Raises:
            as `whole`.
        """
        result, _, bill = await self._run(account, asked)
        events: Iterator[dict[str, Any]]
        match asked.request:
            case ChatRequest() | CompletionRequest() as request:
                events = answers.chunks(request, result, bill)
            case TranscriptionRequest() as request:
                events = answers.heard(request, result, bill)
            case _:
                raise InvalidRequest("stream: this is not streamed", "stream")
        for event in events:
            yield _encode(event)

    async def answered(
        self, request: Request, row: TaskRow, file_url: FileUrl | None = None
    ) -> dict[str, Any]:
        """The answer to a request whose task has ended.

        Raises:
            Refused: there is none, and why.
        """
        model = find_model(self._models.settings, request.model, by_task.TYPES[type(request)])
        result, bill = _read(request, model, await self._models.result(row))
        show = None if file_url is None else _with_key(file_url, row)
        return await self._content(request, result, row, bill, show)

    async def _content(
        self,
        request: Request,
        result: ModelResult,
        row: TaskRow,
        bill: Bill,
        show: _Show | None,
    ) -> dict[str, Any]:
        match request:
            case ChatRequest():
                return answers.chat(result, bill)
            case CompletionRequest():
                return answers.completion(result, bill)
            case EmbeddingRequest():
                return _embeddings(request, result, row, bill)
            case ImageRequest():
                shown = await self._shown(request, result, row, show)
                return answers.image(result, shown, bill)
            case TranscriptionRequest():
                return answers.transcription(request, result, bill)

    async def _run(self, account: Account, asked: Asked) -> tuple[ModelResult, TaskRow, Bill]:
        recording = asked.recording
        model, program, cap = self.prepared(asked.request, recording.name if recording else "")
        files: tuple[FileGiven, ...] = ()
        if recording is not None:
            upload = Upload(None, recording.pieces(), recording.size_bytes)
            stored = await self._artifacts.put(account, upload)
            files = (FileGiven(recording.name, stored.sha256),)
        run = await self._somewhere(account, asked, model, program, cap, files)
        result, bill = _read(asked.request, model, run)
        return result, run.row, bill

    async def _somewhere(
        self,
        account: Account,
        asked: Asked,
        model: Model,
        program: ForProgram,
        cap: int | None,
        files: Sequence[FileGiven],
    ) -> ModelRun:
        """Ask whom the client wants first, then the others."""
        routing = asked.routing
        tries = attempts(routing)
        for number, where in enumerate(tries, 1):
            wanted = ModelWanted(
                model=model.id,
                asked=program.asked,
                parameters=program.parameters,
                files=files,
                max_total_cost_micro_usdc=cap,
                regions=() if routing.region is None else (routing.region,),
                where=where,
                idempotency_key=asked.idempotency_key,
            )
            try:
                return await self._models.run(account, self._models.submission(wanted))
            except NodeUnavailable:
                if number == len(tries):
                    raise
        raise AssertionError("there is always a try")

    async def _shown(
        self, request: ImageRequest, result: ModelResult, row: TaskRow, show: _Show | None
    ) -> dict[str, str]:
        """The image as the request wants it."""
        left = row.state.result.outputs if row.state.result is not None else ()
        there = next((output for output in left if output.path == result.image), None)
        if there is None:
            raise _unreadable(row)
        if show is not None and given(request.response_format, "b64_json") == "url":
            return {"url": show(there)}
        data = await output_bytes(row, self._blobs, there.path, _IMAGE_BYTES_MAX)
        if data is None:
            raise _unreadable(row)
        return {"b64_json": base64.b64encode(data).decode()}


def _linked(link: Link) -> _Show:
    """Files of tasks are artifacts of their accounts."""
    return lambda output: link(output.sha256, PurePosixPath(output.path).name)


def _with_key(file_url: FileUrl, row: TaskRow) -> _Show:
    return lambda output: file_url(row.id, output.path)


def _read(request: Request, model: Model, run: ModelRun) -> tuple[ModelResult, Bill]:
    """What an ended task has left for a request.

    Raises:
        Refused: nothing that answers it, and why.
    """
    row = run.row
    if run.result is None:
        raise unanswered(row)
    by_task.require_whole_prompt(request, model, run.result.usage.prompt_tokens)
    created_s = row.created_at_ms // _MS_PER_S
    return run.result, Bill(row.id, created_s, model, row.node_id, row.cost_micro_usdc)


def _cap(routing: ProviderPreferences, request: Request) -> int | None:
    """What a request may cost at most, micro-USDC.

    Raises:
        Unsupported: it wants what holds of nodes that are paid by units alone.
    """
    if routing.sort in ("throughput", "latency"):
        raise Unsupported(
            f"provider.sort: {routing.sort!r} is not known of nodes that compute a request as a task; price and "
            "the time until it begins decide",
            "provider.sort",
            value=True,
        )
    price = routing.max_price
    if price is None:
        return None
    for name in ("prompt", "completion"):
        if getattr(price, name) is not None:
            raise Unsupported(
                f"provider.max_price.{name}: this model is paid by the time that its node works; cap the whole with "
                "provider.max_price.request",
                f"provider.max_price.{name}",
            )
    try:
        return cap_micro_usdc(price)
    except InvalidValue as error:
        name = f"provider.max_price.{str(error).partition(':')[0]}"
        raise InvalidRequest(f"provider.max_price.{error}", name) from error


def _embeddings(
    request: EmbeddingRequest, result: ModelResult, row: TaskRow, bill: Bill
) -> dict[str, Any]:
    texts = 1 if isinstance(request.input, str) else len(request.input)
    try:
        made = answers.embeddings(request, result, bill)
    except OverflowError:
        # A number that none of 32 bits is.
        raise _unreadable(row) from None
    if len(result.embeddings) != texts:
        raise _unreadable(row)
    return made


def _subtitles(request: TranscriptionRequest, result: ModelResult, row: TaskRow) -> str | None:
    """The text of a transcript in a form that is no JSON; None: it is wanted as JSON."""
    match given(request.response_format, "json"):
        case "text":
            return f"{result.text.strip()}\n"
        case "srt" | "vtt" as form:
            if result.text.strip() and not result.segments:
                raise _unreadable(row)
            return (answers.srt if form == "srt" else answers.vtt)(result.segments)
    return None


def _unreadable(row: TaskRow) -> Refused:
    details: dict[str, Any] = {"task_id": row.id, "phase": row.phase.value}
    return NotAnswered(f"{row.id} completed, and left no result that can be read", details)
